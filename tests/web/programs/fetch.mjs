// Send a photo with fetch in many ways: node fetch.mjs ADDRESS PHOTO -> {way: answer} as JSON.
import { readFile } from "node:fs/promises";

const [address, path] = process.argv.slice(2);
const photo = await readFile(path);
const url = `data:image/jpeg;base64,${photo.toString("base64")}`;

function form(name, value, ...fileName) {
  const data = new FormData();
  data.append(name, value, ...fileName);
  return { body: data };
}

const ways = {
  Blob: { body: new Blob([photo], { type: "image/jpeg" }) },
  File: { body: new File([photo], "selfie.jpg", { type: "image/jpeg" }) },
  ArrayBuffer: { body: photo.buffer.slice(photo.byteOffset, photo.byteOffset + photo.length) },
  stream: { body: new Blob([photo]).stream(), duplex: "half" },
  "data URL": { body: url },
  "FormData, Blob": form("image", new Blob([photo], { type: "image/jpeg" })),
  "FormData, File": form("image_data", new File([photo], "Лето.jpg", { type: "image/jpeg" })),
  "FormData, data URL": form("image", url),
  "FormData, another name": form("photo", new Blob([photo]), "selfie.jpg"),
  "FormData, type set by hand": {
    ...form("image", new Blob([photo])),
    headers: { "Content-Type": "multipart/form-data" },
  },
  URLSearchParams: { body: new URLSearchParams({ image: url }) },
  "form put together": {
    body: `image=${photo.toString("base64")}`,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  },
  "JSON, data URL": { body: JSON.stringify({ image: url }), headers: { "Content-Type": "application/json" } },
  "JSON, Buffer": { body: JSON.stringify({ image: photo }), headers: { "Content-Type": "application/json" } },
  "binary string": { body: photo.toString("latin1") },
};

const answers = {};
for (const [way, options] of Object.entries(ways)) {
  const response = await fetch(address, { method: "POST", ...options });
  answers[way] = await response.json();
}
console.log(JSON.stringify(answers));
