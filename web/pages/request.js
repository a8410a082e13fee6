// The form that sends a request to a chosen route and shows the answer.

export const at = (id) => document.getElementById(id);
const LONGEST_TEXT = 300; // characters of a value that are shown; pictures are longer

export function shorten(_, value) {
  return typeof value === "string" && value.length > LONGEST_TEXT ? `${value.slice(0, 40)}… (${value.length} characters)` : value;
}

/** Offer the routes for a choice, the older addresses apart. */
export function offer(main, older) {
  const group = document.createElement("optgroup");
  group.label = "Older addresses";
  group.append(...older.map(option));
  at("route").append(...main.map(option), group);
  at("route").addEventListener("change", toggleUpload);
  at("request").addEventListener("submit", send);
  toggleUpload();
}

function option([path, method]) {
  return new Option(`${method.toUpperCase()} ${path}`, JSON.stringify({ path, method }));
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
  return { headers: {}, body: form };
}

async function options(method) {
  const { headers = {}, body: content } = method === "post" ? await body() : {};
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  return { method: method.toUpperCase(), headers, body: content };
}

async function send(event) {
  event.preventDefault();
  const { path, method } = chosen();
  const button = event.submitter;
  if (button) button.disabled = true;
  at("outcome").textContent = "Sending…";
  try {
    const start = performance.now();
    const response = await fetch(path.slice(1) || "./", await options(method));
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
