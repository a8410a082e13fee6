// The answer of the service -> the page. Text is set as text, never as HTML.

const NAMES = {
  acne: "Blemishes", redness: "Redness", dark_spots: "Dark spots", texture: "Texture", pores: "Pores",
  wrinkles: "Lines and wrinkles", pigmentation: "Uneven pigmentation", under_eye: "Under the eyes",
};
const OUTCOMES = { // what the ensemble may answer besides a measured condition
  healthy: "Nothing noticeable", see_a_professional: "One for a professional to look at", hyperpigmentation: NAMES.pigmentation,
};
const EXPERIMENT = "A trained model looked at this photo too. It is an experiment that has not yet shown that its answers "
  + "can be trusted, so they are left out here. Nothing on this page depends on it.";
const ADVICE = {
  immediate_actions: "Now", lifestyle_changes: "Every day", products: "Products", professional_advice: "Professional advice",
};
const TONE_CAVEAT = "Estimated from this photo under its light; another light gives another value.";

const at = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;

export function show(answer) {
  const { result } = answer;
  at("health").textContent = Math.round(answer.health_score);
  at("health-bar").firstElementChild.style.width = `${answer.health_score}%`;
  at("summary").textContent = answer.summary;
  fill(at("warnings"), answer.guidance?.suggestions ?? [], (tip) => element("li", tip));
  const picture = answer.overlays?.annotated;
  at("picture").hidden = !picture;
  at("overlay").src = picture ? `data:image/png;base64,${picture}` : "";
  fill(at("conditions"), ranked(result.conditions), conditionItem);
  showEnsemble(answer.ensemble);
  showTone(answer.skin_tone);
  showAdvice(answer.recommendations ?? {});
  at("disclaimer").textContent = answer.disclaimer;
  at("degraded").hidden = !answer.degraded;
  at("degraded").textContent = answer.degraded ? `Note: ${answer.degraded_reason}` : "";
}

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function fill(parent, items, make) {
  parent.replaceChildren(...items.map(make));
}

function ranked(conditions) {
  return Object.entries(conditions).sort(([, a], [, b]) => (b.score ?? -1) - (a.score ?? -1));
}

function conditionItem([name, condition]) {
  const { measured } = condition; // its severity is "none" where it is not, too
  const item = element("li", "", measured ? condition.severity : "unmeasured");
  const line = element("div", "", "line");
  line.append(element("span", NAMES[name] ?? name, "name"), element("span", word(condition, measured)));
  item.append(line);
  if (measured) item.append(track(condition), element("p", figures(condition), "figures"));
  const text = measured ? condition.description : sentence(condition.reason);
  if (text) item.append(element("p", text, "hint"));
  return item;
}

function word({ severity, detected, spot_count: spots }, measured) {
  if (!measured) return "not measured";
  return detected && spots ? `${severity}, ${spots} ${spots === 1 ? "spot" : "spots"}` : severity;
}

function figures({ score, score_interval: [low, high], confidence }) {
  return `${score.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)}) · ${percent(confidence)} sure`;
}

function track({ score, score_interval: [low, high] }) {
  const bar = element("div", "", "track");
  const filled = element("div", "", "fill");
  const whisker = element("div", "", "whisker");
  bar.setAttribute("aria-hidden", "true"); // the figures beside it say the same
  filled.style.width = `${100 * score}%`;
  whisker.style.left = `${100 * low}%`;
  whisker.style.width = `${100 * (high - low)}%`;
  bar.append(filled, whisker);
  return bar;
}

/** "too_blurred: The photo is …" -> "The photo is …" */
function sentence(reason) {
  return (reason ?? "").replace(/^[a-z_]+:\s*/, "");
}

function showEnsemble(ensemble) {
  at("model").hidden = !ensemble;
  if (!ensemble) return;
  const said = ensemble.abstained ? [ensemble.abstention_reason] : [ensemble.top.wording, ensemble.agreement_text];
  at("model-badge").hidden = !ensemble.experimental;
  at("model-text").textContent = ensemble.experimental ? EXPERIMENT : said.join(" ");
  at("model-details").hidden = ensemble.experimental || ensemble.abstained; // shares that say nothing only frighten
  const shares = Object.entries(ensemble.probabilities);
  const grade = (name) => ensemble.conditions[name]?.present ? `, ${ensemble.conditions[name].severity}` : "";
  at("model-outcomes").replaceChildren(...shares.flatMap(([name, share]) => [
    element("dt", OUTCOMES[name] ?? NAMES[name] ?? name), element("dd", percent(share) + grade(name)),
  ]));
}

function showTone(tone) {
  at("tone").hidden = !tone;
  if (!tone) return;
  const rows = [
    ["Group", `${tone.ita_group} (typology angle ${Math.round(tone.ita_deg)}°)`],
    ["Fitzpatrick, about", tone.fitzpatrick_estimate],
    ["Monk scale, about", `${tone.monk_estimate} of 10`],
  ];
  at("tone-list").replaceChildren(...rows.flatMap(([term, text]) => [element("dt", term), element("dd", text)]));
  const doubt = tone.estimates_agree ? "" : " The estimates do not agree with each other, so take them lightly.";
  at("tone-caveat").textContent = (tone.caveat || TONE_CAVEAT) + doubt;
}

function showAdvice(advice) {
  const lists = Object.entries(ADVICE).filter(([key]) => advice[key]?.length);
  at("advice").hidden = lists.length === 0;
  fill(at("advice-lists"), lists, ([key, title]) => {
    const part = element("div");
    const list = element("ul");
    fill(list, advice[key], (text) => element("li", text));
    part.append(element("h3", title), list);
    return part;
  });
}
