// A new user's path through the page of the demo: from signing in to one product's price restored,
// with clicks and seconds counted, and the shop asked whether it is true.
//
//   BACKSTOCK_URL=… BACKSTOCK_TOKEN=… ADMIN_URL=… node tests/page/restore.mjs
import { mkdirSync } from "node:fs";
import { strict as assert } from "node:assert";
import { chromium } from "playwright-core";
import { publish } from "./pictures.mjs";

const { BACKSTOCK_URL: base, BACKSTOCK_TOKEN: token, ADMIN_URL: admin } = process.env;
const CLICKS_MAX = 4;
const SECONDS_MAX = 60;
const shots = new URL("../../target/page/", import.meta.url).pathname;
mkdirSync(shots, { recursive: true });

async function shop(query, variables = {}) {
  const answer = await fetch(`${admin}/admin/api/2026-10/graphql.json`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-shopify-access-token": "shpat_demo" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  assert.ok(!errors, JSON.stringify(errors));
  return data;
}

async function priced(id) {
  const query = "query($id: ID!) { product(id: $id) { variants(first: 5) { nodes { id price } } } }";
  return (await shop(query, { id })).product.variants.nodes;
}

// The shop stands still, so that whatever changes is what this test does.
await fetch(`${admin}/_sim/traffic?rate=0`, { method: "POST" });
await fetch(`${admin}/_sim/drain`, { method: "POST" });
// What is read for the first time now would count as a later change than the one that is made here.
const settled = async () => {
  const answer = await fetch(`${base}/v1/shops/acme/status`, { headers: { authorization: `Bearer ${token}` } });
  const kinds = (await answer.json()).kinds.filter(({ pull }) => pull);
  return kinds.length > 5 && kinds.every(({ pull }) => pull.state !== "running");
};
for (let look = 0; look < 120 && !(await settled()); look += 1) {
  await new Promise((done) => setTimeout(done, 500));
}
const { products } = await shop("{ products(first: 5) { nodes { id title } } }");
const product = products.nodes.at(-1);
const before = await priced(product.id);
const broken = before.map(({ id }) => ({ id, price: "0.99" }));
const edit = "mutation($id: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkUpdate(productId: $id, variants: $variants) { userErrors { message } } }";
const { productVariantsBulkUpdate } = await shop(edit, { id: product.id, variants: broken });
assert.deepEqual(productVariantsBulkUpdate.userErrors, []);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ baseURL: base, viewport: { width: 1280, height: 800 } });
const began = performance.now();
let clicks = 0;
const click = async (what) => {
  clicks += 1;
  await page.click(what);
};

await page.goto("/");
await page.fill("#token", token);
await click("button:has-text('Sign in')");
await page.waitForURL(/\/shops\//);
await page.keyboard.press("/");
await page.keyboard.type(product.title);
await page.keyboard.press("Enter");
await page.waitForURL(/find/);
await click(`.row[href$='/${product.id.split("/").at(-1)}']`);
await page.waitForURL(/resources/);
for (let look = 0; look < 50 && !(await page.textContent("main")).includes("0.99"); look += 1) {
  await page.waitForTimeout(200);
  await page.reload();
}
assert.match(await page.textContent(".diff"), /0\.99/, "the page shows the price that was spoilt");
await page.screenshot({ path: `${shots}restore-1-product.png`, fullPage: true });
await click("button:has-text('Put all of it back')");
await page.waitForURL(/plans/);
await page.screenshot({ path: `${shots}restore-2-plan.png`, fullPage: true });
assert.match(await page.textContent("[data-count]"), /Apply 1 change/);
await click("[data-count]");
await page.waitForURL(/jobs/);
await page.waitForSelector("h1:has-text('It is put back')", { timeout: 30_000 });
const seconds = (performance.now() - began) / 1000;
await page.screenshot({ path: `${shots}restore-3-report.png`, fullPage: true });
assert.deepEqual(await priced(product.id), before, "the shop has its prices again");
console.log(`ok    one product's price restored: ${clicks} clicks, ${seconds.toFixed(1)} s`);
assert.ok(clicks <= CLICKS_MAX && seconds <= SECONDS_MAX);

// And the way back from the way back.
await page.click("text=Undo this restore…");
await page.waitForURL(/plans/);
await page.click("[data-count]");
await page.waitForSelector("h1:has-text('It is put back')", { timeout: 30_000 });
assert.deepEqual((await priced(product.id)).map(({ price }) => price), broken.map(({ price }) => price));
console.log("ok    a restore is undone");
await page.goto("/shops/acme/audit");
await page.screenshot({ path: `${shots}restore-4-audit.png`, fullPage: true });
await publish(browser, shots, { "restore-3-report": "report" });
await browser.close();
