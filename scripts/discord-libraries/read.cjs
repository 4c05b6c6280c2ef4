// Reads everything with discord.js, by its own classes. The task comes on stdin, what was read goes to stdout.
const { Client, ClientApplication, SubscriptionStatus, version } = require('discord.js');

const PAGE = 100;
const HIGHEST = '9223372036854775807';

const row = one => ({
  id: one.id,
  user_id: one.userId,
  skus: one.skuIds,
  entitlements: one.entitlementIds,
  starts: one.currentPeriodStartTimestamp,
  ends: one.currentPeriodEndTimestamp,
  status: SubscriptionStatus[one.status].toUpperCase(),
  cancelled: one.canceledTimestamp ?? null,
  renewal: one.renewalSkuIds ?? null,
});

// All pages in one direction; `next` says where the next one begins.
async function pages(fetch, query, next) {
  const all = [];
  for (;;) {
    const page = [...(await fetch({ ...query, limit: PAGE, cache: false })).values()];
    all.push(...page);
    if (page.length < PAGE) return all;
    Object.assign(query, next(page));
  }
}

async function main(task) {
  const client = new Client({ intents: [], rest: { api: `${task.url}/discord/api`, version: '10' } });
  client.rest.setToken(task.key);
  // What the gateway would set, were the hub a bot's gateway.
  client.application = new ClientApplication(client, { id: task.application });
  const { subscriptions, entitlements } = client.application;
  const read = { version, upwards: [], downwards: [] };
  const upwards = page => ({ after: page.at(-1).id });
  const downwards = page => ({ before: page[0].id });
  const fetch = query => subscriptions.fetch(query);
  for (const user of task.users) {
    const query = { sku: task.sku, user };
    read.upwards.push(...(await pages(fetch, { ...query, after: '0' }, upwards)).map(row));
    read.downwards.push(...(await pages(fetch, { ...query, before: HIGHEST }, downwards)).map(row));
  }
  for (const one of [read.upwards[0], read.downwards.at(-1)]) {
    const again = row(await subscriptions.fetch({ sku: task.sku, subscriptionId: one.id }));
    if (JSON.stringify(again) !== JSON.stringify(one)) throw new Error(`${one.id} is not the same when read alone`);
  }
  const given = await pages(query => entitlements.fetch(query), { after: '0', excludeDeleted: false }, upwards);
  read.entitlements = given.map(one => ({ id: one.id, deleted: one.deleted }));
  read.skus = [...(await client.application.fetchSKUs()).values()].map(sku => ({ id: sku.id, name: sku.name }));
  process.stdout.write(JSON.stringify(read), () => process.exit(0));
}

let text = '';
process.stdin.on('data', chunk => (text += chunk));
process.stdin.on('end', () => main(JSON.parse(text)).catch(error => { console.error(error); process.exit(1); }));
