// A picture file -> the answer of the service. Files go as they are, because orientation and colour profile are the
// service's work; only what the service would refuse for its size is shrunk here.

const ROUTE = "api/v6/skin/analyze-hare-run";
const LARGEST_BYTES = 16 * 1024 * 1024; // as base64 this just fits into one request
const MOST_PIXELS = 50_000_000; // of a picture that the service decodes
const REDUCED_LONG_SIDE = 4096; // pixels
const LEAST_LONG_SIDE = 1600; // pixels; the face is measured on a copy of about this size anyway
const TOO_LARGE = 413; // status of too_large and too_many_pixels
const TIMEOUT_MS = 90_000;

/** A failure in words for a person; `retryAfter` in seconds where the same photo may be sent again. */
export class Trouble extends Error {
  constructor(title, text, tips = [], retryAfter = null, status = 0) {
    super(title);
    Object.assign(this, { title, text, tips, retryAfter, status });
  }
}

/** Send the file; `onProgress(share)` tells how much has left, 0 to 1. Resolves to the report, rejects with Trouble. */
export async function analyze(file, onProgress, signal) {
  const send = async (photo) => post(JSON.stringify({ image: await readDataUrl(photo), include: ["overlays"] }), onProgress, signal);
  const fits = file.size <= LARGEST_BYTES && (await pixelCount(file)) <= MOST_PIXELS;
  try {
    return await send(fits ? file : await reduced(file, REDUCED_LONG_SIDE));
  } catch (error) {
    if (error.status !== TOO_LARGE) throw error;
    return send(await reduced(file, LEAST_LONG_SIDE)); // the limits of this service are lower than the usual ones
  }
}

/** The picture, upright as its file says; rejects where the browser cannot show it. */
async function opened(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
    return image;
  } catch (error) {
    URL.revokeObjectURL(image.src);
    throw error;
  }
}

/** Pixels of the picture, from its header; 0 where the browser cannot tell. */
async function pixelCount(file) {
  try {
    const image = await opened(file);
    URL.revokeObjectURL(image.src);
    return image.naturalWidth * image.naturalHeight;
  } catch {
    return 0;
  }
}

/** A smaller JPEG of the picture, upright and in sRGB. */
async function reduced(file, longSide) {
  try {
    const image = await opened(file);
    const blob = await drawn(image, longSide);
    URL.revokeObjectURL(image.src);
    return blob;
  } catch {
    throw new Trouble("This file is too large", "The service takes photos of up to 16 MB and 50 megapixels.", ["Save the photo in a smaller size."]);
  }
}

function drawn(image, longSide) {
  const scale = Math.min(1, longSide / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.95));
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
  if (request.status === TOO_LARGE) return reject(new Trouble("This photo is too large", text, tips, null, TOO_LARGE));
  if (request.status >= 500) {
    const number = answer.request_id ? ` If it happens again, mention the number ${answer.request_id}.` : "";
    return reject(new Trouble("Something went wrong in the service", `This is not your fault.${number}`, [], 0));
  }
  return reject(new Trouble("This file cannot be used", text, tips));
}
