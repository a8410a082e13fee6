// A picture file -> the answer of the service. Files go as they are: orientation and colour profile are the service's work.

const ROUTE = "api/v6/skin/analyze-hare-run";
const LARGEST_BYTES = 16 * 1024 * 1024; // as base64 this just fits into one request
const REDUCED_LONG_SIDE = 4096; // pixels
const TIMEOUT_MS = 90_000;

/** A failure in words for a person; `retryAfter` in seconds where the same photo may be sent again. */
export class Trouble extends Error {
  constructor(title, text, tips = [], retryAfter = null) {
    super(title);
    Object.assign(this, { title, text, tips, retryAfter });
  }
}

/** Send the file; `onProgress(share)` tells how much has left, 0 to 1. Resolves to the report, rejects with Trouble. */
export async function analyze(file, onProgress, signal) {
  const image = await readDataUrl(await reduced(file));
  return post(JSON.stringify({ image, include: ["overlays"] }), onProgress, signal);
}

async function reduced(file) {
  if (file.size <= LARGEST_BYTES) return file;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble("This file is too large", "The service takes photos of up to 16 MB.", ["Save the photo in a smaller size."]);
  }
  const scale = Math.min(1, REDUCED_LONG_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

function readDataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Trouble("The file cannot be read", "It may have been moved or deleted.", ["Choose it again."]));
    reader.readAsDataURL(file);
  });
}

function post(body, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much of an upload has left
    request.open("POST", ROUTE);
    request.setRequestHeader("Content-Type", "application/json");
    request.timeout = TIMEOUT_MS;
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => settle(request, resolve, reject);
    request.onerror = () => reject(new Trouble("The service cannot be reached", "Check your connection, then try again.", [], 0));
    request.ontimeout = () => reject(new Trouble("This took too long", "The service did not answer in time.", [], 0));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function settle(request, resolve, reject) {
  let answer;
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    answer = {};
  }
  if (request.status === 200 && answer.success) return resolve(answer);
  const guidance = answer.guidance ?? {};
  const tips = guidance.suggestions ?? [];
  const text = guidance.message || answer.message || answer.error || "The service gave no reason.";
  if (request.status === 200) return reject(new Trouble("This photo cannot be measured", text, tips));
  if (request.status === 503) {
    const wait = Number(request.getResponseHeader("Retry-After")) || 5;
    return reject(new Trouble("The service is busy", `Many photos are being measured. Try again in ${wait} seconds.`, [], wait));
  }
  if (request.status === 413) return reject(new Trouble("This photo is too large", text, tips));
  if (request.status >= 500) {
    const number = answer.request_id ? ` If it happens again, mention the number ${answer.request_id}.` : "";
    return reject(new Trouble("Something went wrong in the service", `This is not your fault.${number}`, [], 0));
  }
  return reject(new Trouble("This file cannot be used", text, tips));
}
