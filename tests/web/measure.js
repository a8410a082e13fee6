// Opens all that is folded on a page and writes sizes of controls and contrasts of texts into it, for tests/web/test_docs_page.py.

const LARGEST = 1e4;

function luminance([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const channels = (colour) => colour.match(/[\d.]+/g).map(Number);

/** The colour behind an element: that of the nearest one which is opaque. */
function background(element) {
  for (let node = element; node; node = node.parentElement) {
    const [red, green, blue, alpha = 1] = channels(getComputedStyle(node).backgroundColor);
    if (alpha === 1) return [red, green, blue];
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
}

function contrast(element) {
  const [light, dark] = [luminance(channels(getComputedStyle(element).color)), luminance(background(element))].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const shown = (element) => element.getClientRects().length > 0;
const label = (element) => `${element.tagName.toLowerCase()} ${element.id || element.textContent.trim().slice(0, 30)}`;

function measure() {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const controls = [...document.querySelectorAll("nav a, button, input, select, summary")].filter(shown);
  const texts = [...document.querySelectorAll("body *")].filter((element) =>
    shown(element) && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()));
  return {
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    controls: controls.map((element) => [label(element), Math.min(...["width", "height"].map((side) => element.getBoundingClientRect()[side]))]),
    texts: texts.map((element) => [label(element), Math.min(contrast(element), LARGEST)]),
  };
}

addEventListener("load", () => setTimeout(() => {
  const output = document.createElement("template");
  output.id = "measured";
  output.dataset.result = JSON.stringify(measure());
  document.body.append(output);
}, 1500));
