// The page in a frame of Shopify's admin, in a real Chromium: both behind HTTPS under their own names,
// so that the browser holds cookies, frames and forms to what it would there.
//
//   node tests/page/embedded.mjs BASE_URL     against the example "believable … store"
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:https";
import { strict as assert } from "node:assert";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const base = new URL(process.argv[2] ?? "http://127.0.0.1:8090");
const shots = new URL("../../target/page/", import.meta.url).pathname;
mkdirSync(shots, { recursive: true });
const [SHOP, CLIENT, SECRET] = ["acme.myshopify.com", "example-id", "example secret"];
const [ADMIN, EVIL, APP] = ["admin.shopify.com", "evil.example", "backstock.example"];

// The example's clock stands still.
const now = Date.parse("2026-11-22T12:00:00Z") / 1000;
function idToken(otherwise = {}, secret = SECRET) {
  const claims = { iss: `https://${SHOP}/admin`, dest: `https://${SHOP}`, aud: CLIENT, sub: "42", exp: now + 60, nbf: now, ...otherwise };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

// One server is both: a page with a frame under the names of others, and the way to the example under
// its own.
const dir = mkdtempSync(join(tmpdir(), "backstock-embedded-"));
execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", `/CN=${APP}`, "-keyout", join(dir, "key"), "-out", join(dir, "cert")], { stdio: "ignore" });
let framed = "";
const server = createServer({ key: readFileSync(join(dir, "key")), cert: readFileSync(join(dir, "cert")) }, (asked, answer) => {
  if (asked.headers.host === ADMIN || asked.headers.host === EVIL) {
    answer.setHeader("content-type", "text/html");
    answer.end(`<title>${asked.headers.host}</title><iframe src="${framed}" width=1200 height=760></iframe>`);
    return;
  }
  const headers = { ...asked.headers, "x-forwarded-proto": "https" };
  const passed = request({ host: base.hostname, port: base.port, path: asked.url, method: asked.method, headers }, (answered) => {
    answer.writeHead(answered.statusCode, answered.rawHeaders);
    answered.pipe(answer);
  });
  passed.on("error", () => answer.destroy());
  asked.pipe(passed);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP * 127.0.0.1:${server.address().port}`],
});
let failed = 0;

/// A page whose browser's messages are kept.
async function told(context) {
  const page = await context.newPage();
  page.told = [];
  page.on("console", (message) => page.told.push(message.text()));
  return page;
}

async function journey(name, walk) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } });
  const page = await told(context);
  const began = performance.now();
  try {
    await walk(page);
    console.log(`ok    ${name} (${Math.round(performance.now() - began)} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
    await page.screenshot({ path: `${shots}failed-${name.replaceAll(" ", "-")}.png` });
  }
  await context.close();
}

/// The frame in a page.
const inside = (page) => page.mainFrame().childFrames()[0];

/// Opens the app in a frame of somebody's page, as Shopify's admin would.
async function open(page, host, token) {
  framed = `https://${APP}/?embedded=1&host=YWRtaW4&shop=${SHOP}&id_token=${token}`;
  await page.goto(`https://${host}/`);
  return inside(page);
}

/// The browser shows nothing of ours in the frame, and says that the page forbids it.
async function refused(page) {
  for (let look = 0; look < 100 && !page.told.some((text) => /frame-ancestors/.test(text)); look += 1) {
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.ok(page.told.some((text) => /frame-ancestors/.test(text)), `it is not refused: ${page.told}`);
  const shown = inside(page).url();
  assert.ok(!shown.startsWith(`https://${APP}`), `${shown} is shown`);
}

await journey("the admin opens the page, and it works in its frame", async (page) => {
  const frame = await open(page, ADMIN, idToken());
  await frame.waitForURL(`https://${APP}/shops/acme`);
  assert.match(await frame.textContent("main"), /Overview|kept/);
  assert.equal(await frame.locator("text=Sign out").count(), 0);
  await page.screenshot({ path: `${shots}embedded-desktop.png` });
  await frame.click("nav >> text=Guard");
  await frame.fill("#label", "About to install from the admin");
  await frame.click("text=Mark this moment");
  await frame.waitForSelector("main :text('About to install from the admin')");
  const cookies = await page.context().cookies();
  assert.equal(cookies.length, 1, JSON.stringify(cookies));
  const [{ name, httpOnly, secure, sameSite, partitionKey }] = cookies;
  assert.deepEqual({ name, httpOnly, secure, sameSite }, { name: "__Host-backstock-embedded", httpOnly: true, secure: true, sameSite: "None" });
  assert.equal(partitionKey, "https://shopify.com");
});

await journey("the session is that frame's alone", async (page) => {
  const frame = await open(page, ADMIN, idToken());
  await frame.waitForURL(`https://${APP}/shops/acme`);
  const other = await told(page.context());
  await other.goto(`https://${APP}/shops/acme`);
  assert.match(other.url(), /\/signin/, "not in a window of its own");
  framed = `https://${APP}/shops/acme`;
  await other.goto(`https://${EVIL}/`);
  await refused(other);
  framed = `https://${APP}/shops/acme`;
  await page.goto(`https://${ADMIN}/`);
  assert.match(await inside(page).textContent("main"), /Overview|kept/, "there it goes on");
});

await journey("nobody else frames the page, even with a token", async (page) => {
  await open(page, EVIL, idToken());
  await refused(page);
});

await journey("an address that somebody is sent signs nobody in", async (page) => {
  const answer = await page.goto(`https://${APP}/?embedded=1&shop=${SHOP}&id_token=${idToken()}`);
  assert.equal(answer.status(), 403);
  assert.deepEqual(await page.context().cookies(), []);
});

for (const [what, token] of Object.entries({
  forged: idToken({}, "another secret"),
  expired: idToken({ exp: now - 60, nbf: now - 120 }),
  "other shop's": idToken({ dest: "https://bolt.myshopify.com", iss: "https://bolt.myshopify.com/admin" }),
  "other app's": idToken({ aud: "another-id" }),
})) {
  await journey(`a token that is ${what} opens nothing`, async (page) => {
    await open(page, ADMIN, token);
    await refused(page);
    assert.deepEqual(await page.context().cookies(), []);
  });
}

await browser.close();
server.close();
rmSync(dir, { recursive: true });
console.log(failed === 0 ? "every journey in the admin went well" : `${failed} journeys failed`);
process.exit(failed === 0 ? 0 : 1);
