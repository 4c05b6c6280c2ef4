// Verifies requests with the official JavaScript library, and key pairs with Node's own Ed25519. Reads
// {secret, public_keys, requests: [{headers, body}]} and writes a list of true or false, one for each request.
const crypto = require("node:crypto");
const { Webhook } = require("standardwebhooks");

const verify = (task, { headers, body }) => {
  try {
    new Webhook(task.secret).verify(body, headers);
  } catch {
    return false;
  }
  const message = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  return task.public_keys.every((text) => {
    const raw = Buffer.from(text.slice("whpk_".length), "base64");
    // The head of a SubjectPublicKeyInfo that says Ed25519.
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
    const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
    return signatures.some((one) => crypto.verify(null, message, key, Buffer.from(one.slice(4), "base64")));
  });
};

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => {
  const task = JSON.parse(Buffer.concat(chunks));
  process.stdout.write(JSON.stringify(task.requests.map((request) => verify(task, request))));
});
