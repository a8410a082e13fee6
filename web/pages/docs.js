// Shows openapi.json and sends requests to the routes that it describes.

const at = (id) => document.getElementById(id);
const LONGEST_TEXT = 120; // characters of one value that are shown; pictures are longer

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

function route(path, method, operation) {
  const label = element("span", method.toUpperCase());
  label.className = "method";
  const heading = element("summary", "", label, element("code", path), ` ${operation.summary}`);
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const schema = answer.content?.["application/json"]?.schema;
    return [status, answer.description, schema ? typeOf(schema) : Object.keys(answer.content ?? {}).join(", ")];
  });
  const body = Object.entries(operation.requestBody?.content ?? {}).map(([type, part]) => ["body", type, typeOf(part.schema)]);
  return element("details", "", heading, element("p", operation.description), table([...body, ...answers]));
}

function shape(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([field, part]) => [field, typeOf(part), part.description ?? ""]);
  return element("details", "", element("summary", name), element("p", schema.description ?? ""), table(rows));
}

function show(description) {
  at("title").textContent = description.info.title;
  at("description").textContent = `${description.info.description} Version ${description.info.version}.`;
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method, operation]));
  at("routes").append(...operations.map((operation) => route(...operation)));
  at("shapes").append(...Object.entries(description.components.schemas).map(([name, schema]) => shape(name, schema)));
  at("route").append(...operations.map(([path, method]) => {
    const option = element("option", `${method.toUpperCase()} ${path}`);
    option.value = JSON.stringify({ path, method });
    return option;
  }));
  at("route").addEventListener("change", toggleUpload);
  toggleUpload();
}

const chosen = () => JSON.parse(at("route").value);

function toggleUpload() {
  at("upload").hidden = chosen().method !== "post";
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

async function body() {
  const file = at("photo").files[0];
  const include = at("include").value.split(",").map((word) => word.trim()).filter(Boolean);
  if (!file) return { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ include }) };
  if (at("encoding").value === "raw") return { headers: { "Content-Type": file.type || "application/octet-stream" }, body: file };
  if (at("encoding").value === "json") {
    return { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ image: await dataUrl(file), include }) };
  }
  const form = new FormData();
  form.append("image", file);
  form.append("include", include.join(","));
  return { body: form };
}

const shorten = (_, value) =>
  typeof value === "string" && value.length > LONGEST_TEXT ? `${value.slice(0, 40)}… (${value.length} characters)` : value;

async function send(event) {
  event.preventDefault();
  const { path, method } = chosen();
  const button = event.submitter;
  if (button) button.disabled = true;
  at("outcome").textContent = "Sending…";
  try {
    const start = performance.now();
    const options = method === "post" ? await body() : {};
    const response = await fetch(path.slice(1) || "./", { method: method.toUpperCase(), ...options });
    const text = await response.text();
    at("outcome").textContent = `${response.status} ${response.statusText}, ${Math.round(performance.now() - start)} ms, ${text.length} characters`;
    const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
    at("answer").textContent = isJson ? JSON.stringify(JSON.parse(text), shorten, 2) : text;
    at("answer").hidden = false;
  } catch (error) {
    at("outcome").textContent = `No answer: ${error.message}`;
  } finally {
    if (button) button.disabled = false;
  }
}

at("try").addEventListener("submit", send);
show(await (await fetch("openapi.json")).json());
