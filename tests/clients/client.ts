// Calls the service with the types that openapi-typescript makes of its description; prints one JSON object.
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./service.js";

type Failure = components["schemas"]["Failure"];
type Report = components["schemas"]["AnalysisAnswer"];

const [address = "", portraitFile = "", landscapeFile = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: address });
const portrait = await readFile(portraitFile);
const landscape = await readFile(landscapeFile);

async function analyze(photo: Buffer): Promise<Report> {
  const { data, error } = await client.POST("/api/v6/skin/analyze-hare-run", {
    body: { image: photo.toString("base64"), demographics: { age: 34 }, include: ["lesions"] },
  });
  if (error) throw new Error(error.error_code);
  return data;
}

async function analyzeForm(photo: Buffer): Promise<Report> {
  const form = new FormData();
  form.append("image", new Blob([new Uint8Array(photo)]), "selfie.jpg");
  form.append("include", "lesions");
  const { data, error } = await client.POST("/api/v6/skin/analyze-hare-run", { body: {}, bodySerializer: () => form });
  if (error) throw new Error(error.error_code);
  return data;
}

async function detect(photo: Buffer) {
  const { data, error } = await client.POST("/api/v4/face/detect", { body: { image: photo.toString("base64") } });
  if (error) throw new Error(error.error_code);
  return data;
}

async function failure(body: Buffer | string, type: string): Promise<[number, Failure | undefined]> {
  const { error, response } = await client.POST("/api/v6/skin/analyze-hare-run", {
    body: {},
    bodySerializer: () => (typeof body === "string" ? body : new Uint8Array(body)),
    headers: { "Content-Type": type },
  });
  return [response.status, error];
}

const report = await analyze(portrait);
const refusal = await analyze(landscape);
const faces = await detect(portrait);
const { data: status } = await client.GET("/api/v5/skin/model-status");
const [badStatus, bad] = await failure('{"image": "%%%"}', "application/json");
const [wrongStatus, wrong] = await failure("a text", "text/css");

// @ts-expect-error: the types know which fields there are
report.no_such_field;
// @ts-expect-error: and which words may be asked for
client.POST("/api/v4/face/detect", { body: { image: "", include: ["everything"] } }).catch(() => {});

console.log(JSON.stringify({
  report: [report.success, report.primary_condition, report.health_score, report.result.conditions["acne"]?.severity],
  lesions: Object.keys(report.lesions ?? {}).length > 0,
  form: (await analyzeForm(portrait)).primary_condition,
  refusal: [refusal.success, refusal.error_code, refusal.guidance.suggestions.length > 0],
  faces: [faces.face_detected, faces.faces[0]?.bounds.width, faces.faces[0]?.cropped_face_image.slice(0, 4)],
  model: [status?.model_loaded, status?.model_status.model_details["facial"]?.available],
  failures: [[badStatus, bad?.error_code], [wrongStatus, wrong?.error_code]],
}));
