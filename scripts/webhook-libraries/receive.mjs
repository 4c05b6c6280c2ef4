// convex-revenuecat, unchanged: it checks the Authorization header, keeps customers, subscriptions and entitlements, and refuses
// what does not fit its schema. It runs on the in-memory back end that Convex gives out for tests, behind a plain HTTP server.
//
// Usage: node receive.mjs AUTHORIZATION    prints its address. POST /webhooks/revenuecat; GET /entitlements?user=; GET /report
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { componentsGeneric, defineSchema, httpRouter } from "convex/server";
import { convexTest } from "convex-test";
import { RevenueCat } from "convex-revenuecat";

const report = { answers: {}, complaints: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => report.complaints.push(words.map(String).join(" "));

/** What a bundler's `import.meta.glob` would give: every module of the component, by its name. */
const component = () => {
  const root = fileURLToPath(new URL("node_modules/convex-revenuecat/dist/component", import.meta.url));
  const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".js"));
  return Object.fromEntries(files.map((name) => [`/${name}`, () => import(pathToFileURL(join(root, name)))]));
};

const modules = component();
const { default: schema } = await modules["/schema.js"]();
const revenuecat = new RevenueCat(componentsGeneric().revenuecat, { REVENUECAT_WEBHOOK_AUTH: process.argv[2] });
const http = httpRouter();
revenuecat.registerRoutes(http);
const backend = convexTest(defineSchema({}), { "/_generated/api.js": async () => ({}), "/http.js": async () => ({ default: http }) });
backend.registerComponent("revenuecat", schema, modules);

const read = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const serve = async (request, url) => {
  if (request.method === "POST") {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== "connection"));
    const answer = await backend.fetch(url.pathname, { method: "POST", headers, body: await read(request) });
    report.answers[answer.status] = (report.answers[answer.status] ?? 0) + 1;
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  }
  if (url.pathname === "/report") return { status: 200, body: JSON.stringify(report) };
  const active = await backend.run((context) => revenuecat.getActiveEntitlements(context, { appUserId: url.searchParams.get("user") }));
  return { status: 200, body: JSON.stringify(active.map((one) => [one.entitlementId, one.expiresAtMs ?? null])) };
};

// The back end for tests takes one call at a time.
let last = Promise.resolve();
const server = createServer((request, response) => {
  last = last.then(async () => {
    try {
      const { status, headers, body } = await serve(request, new URL(request.url, "http://localhost"));
      response.writeHead(status, headers).end(body);
    } catch (error) {
      report.complaints.push(String(error.stack ?? error));
      response.writeHead(500).end(String(error));
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
