// Holds bodies against the types of @puzzmo/revenue-cat-webhook-types with TypeScript's own compiler. Reads a list of bodies
// (JSON) and writes a list of complaints, one for each body: empty where it fits.
//
// Null is allowed everywhere, because RevenueCat's pages allow it where these types do not. So are the fields that they demand
// and RevenueCat's own samples leave out.
const path = require("node:path");
const ts = require("typescript");

/** Fields that RevenueCat's samples (or, of grants, its pages) are without. */
const LEFT_OUT = {
  "*": ["app_id", "country_code"],
  BILLING_ISSUE: ["grace_period_expiration_at_ms"],
  SUBSCRIPTION_PAUSED: ["expiration_reason"],
};

/** The type of exactly this value. */
const typeOf = (value) => {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length ? `(${value.map(typeOf).join(" | ")})[]` : "never[]";
  if (typeof value !== "object") return JSON.stringify(value);
  return `{ ${Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${typeOf(inner)}`).join("; ")} }`;
};

const line = (body, number) => {
  const loose = [...LEFT_OUT["*"], ...(LEFT_OUT[body.event.type] ?? [])].map((name) => JSON.stringify(name)).join(" | ");
  const wanted = `Loose<Extract<Webhook["event"], { type: ${JSON.stringify(body.event.type)} }>, ${loose}>`;
  return `declare const sent${number}: ${typeOf(body)}; export const taken${number}: { api_version: string; event: ${wanted} } = sent${number};`;
};

const check = (bodies) => {
  const head = [
    'import type { Webhook } from "@puzzmo/revenue-cat-webhook-types";',
    "type Loose<T, K extends PropertyKey> = [T] extends [never] ? never : Omit<T, K> & Partial<Pick<T, Extract<K, keyof T>>>;",
  ];
  const text = [...head, ...bodies.map(line)].join("\n");
  const file = path.join(__dirname, "sent.ts");
  const options = { noEmit: true, strict: true, strictNullChecks: false, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? text : readFile(name));
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  const complaints = bodies.map(() => []);
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const words = ts.flattenDiagnosticMessageText(found.messageText, "\n");
    const place = found.file?.fileName === file ? found.file.getLineAndCharacterOfPosition(found.start).line - head.length : -1;
    if (place < 0) throw new Error(words);
    complaints[place].push(words);
  }
  return complaints;
};

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => process.stdout.write(JSON.stringify(check(JSON.parse(Buffer.concat(chunks))))));
