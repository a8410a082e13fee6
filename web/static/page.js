// Choose, drop, paste or take a photo; send it; show the report or what went wrong. One part of the page at a time.

import { show } from "./report.js";
import { analyze, Trouble } from "./upload.js";

const at = (id) => document.getElementById(id);
const STAGES = ["choose", "progress", "trouble", "report"];
let running = null; // AbortController of the photo under way
let lastFile = null;

function stage(name) {
  for (const id of STAGES) at(id).hidden = id !== name;
  window.scrollTo(0, 0);
}

function say(text) {
  at("progress-text").textContent = text;
  at("live").textContent = text;
}

function onProgress(share) {
  if (share < 1) {
    at("bar").value = share;
    return;
  }
  at("bar").removeAttribute("value");
  say("Looking for the face and measuring the skin …");
}

function preview(file) {
  const image = at("preview");
  URL.revokeObjectURL(image.src);
  image.hidden = true;
  image.onload = () => (image.hidden = false); // browsers that cannot show HEIC show nothing
  image.src = URL.createObjectURL(file);
}

async function start(file) {
  running?.abort();
  const controller = (running = new AbortController());
  lastFile = file;
  stage("progress");
  preview(file);
  at("bar").value = 0;
  say("Sending the photo …");
  try {
    const answer = await analyze(file, onProgress, controller.signal);
    if (controller === running) finish(answer);
  } catch (error) {
    if (controller === running && error.name !== "AbortError") fail(error);
  }
}

function finish(answer) {
  show(answer);
  stage("report");
  at("report-title").focus();
  at("live").textContent = `Report ready. Skin health ${Math.round(answer.health_score)} of 100.`;
}

function fail(error) {
  const trouble = error instanceof Trouble ? error : new Trouble("Something went wrong on this page", "Reload it and try again.");
  at("trouble-title").textContent = trouble.title;
  at("trouble-text").textContent = trouble.text;
  at("trouble-tips").replaceChildren(...trouble.tips.map((tip) => Object.assign(document.createElement("li"), { textContent: tip })));
  at("retry").hidden = trouble.retryAfter === null;
  stage("trouble");
  at("live").textContent = ""; // the title takes the focus and is read
  at("trouble-title").focus();
}

function reset() {
  running?.abort();
  running = null;
  URL.revokeObjectURL(at("preview").src);
  at("preview").removeAttribute("src");
  at("overlay").removeAttribute("src");
  stage("choose");
  at("live").textContent = "";
  at("file").focus();
}

function firstPicture(list) {
  return [...(list ?? [])].find((file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name));
}

for (const id of ["camera", "file"]) {
  at(id).addEventListener("change", ({ target }) => {
    if (target.files[0]) start(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = firstPicture(event.dataTransfer.files);
  if (file) start(file);
  else fail(new Trouble("This is not a picture", "Drop a photo file: JPEG, PNG, WebP, GIF, HEIC or AVIF."));
});
document.addEventListener("paste", (event) => {
  const file = firstPicture(event.clipboardData?.files);
  if (file) start(file);
});
at("cancel").addEventListener("click", reset);
at("retry").addEventListener("click", () => start(lastFile));
for (const button of document.querySelectorAll(".again")) button.addEventListener("click", reset);
