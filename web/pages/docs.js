// Shows the routes and shapes of openapi.json.

import { at, offer, shorten } from "./request.js";

function element(name, text = "", ...children) {
  const node = document.createElement(name);
  node.textContent = text;
  node.append(...children);
  return node;
}

const nameOf = (reference) => reference.split("/").pop();

/** A schema in a few words: "number 0…1 or null", "list of Face". */
function typeOf(schema) {
  if (schema.$ref) return nameOf(schema.$ref);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeOf).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.additionalProperties?.constructor === Object) return `name → ${typeOf(schema.additionalProperties)}`;
  const range = schema.maximum === undefined ? "" : ` ${schema.minimum ?? ""}…${schema.maximum}`;
  return (schema.type ?? "anything") + range;
}

function table(rows) {
  return element("table", "", ...rows.map((cells) => element("tr", "", ...cells.map((cell) => element("td", cell)))));
}

function fold(summary, ...content) {
  return element("details", "", element("summary", "", ...[summary].flat()), ...content);
}

function heading(path, method) {
  const label = element("span", method.toUpperCase());
  label.className = "method";
  return [label, element("code", path)];
}

function example(name, value) {
  const text = element("pre", JSON.stringify(value, shorten, 2));
  text.tabIndex = 0;
  return fold(`Example: ${name}`, text);
}

function route([path, method, operation]) {
  const media = (part) => Object.entries(part.content ?? {});
  const answers = Object.entries(operation.responses);
  const bodies = media(operation.requestBody ?? {}).map(([type, part]) => ["body", type, typeOf(part.schema)]);
  const rows = answers.map(([status, answer]) =>
    [status, answer.description, media(answer).map(([type, part]) => (part.schema.$ref ? typeOf(part.schema) : type)).join(", ")]);
  const examples = answers.flatMap(([, answer]) => media(answer).flatMap(([, part]) => Object.values(part.examples ?? {})));
  return fold([...heading(path, method), ` ${operation.summary}`], element("p", operation.description), table([...bodies, ...rows]),
    ...examples.map(({ summary, value }) => example(summary, value)));
}

function aliases(operations) {
  const rows = operations.map(([path, method, operation]) => [`${method.toUpperCase()} ${path}`, operation["x-alias-of"]]);
  return fold("Older addresses of the same operations", element("p", "They answer alike. New clients use the address on the right."), table(rows));
}

function shape([name, schema]) {
  const rows = Object.entries(schema.properties ?? {}).map(([field, part]) => [field, typeOf(part), part.description ?? ""]);
  return fold(name, element("p", schema.description ?? ""), table(rows.length ? rows : [["", typeOf(schema), ""]]));
}

function show(description) {
  at("version").textContent = `Version ${description.info.version}.`;
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method, operation]));
  const main = operations.filter(([, , operation]) => !operation.deprecated);
  const older = operations.filter(([, , operation]) => operation.deprecated);
  at("routes").append(...main.map(route), aliases(older));
  at("shapes").append(...Object.entries(description.components.schemas).map(shape));
  offer(main, older);
}

for (const snippet of document.querySelectorAll(".snippet")) { // which call the service that shows this page
  snippet.textContent = snippet.textContent.replace(/http:\/\/localhost:8000\//, new URL("./", location.href).href);
}
show(await (await fetch("openapi.json")).json());
