// The pictures of the documents: screenshots that these tests took, under the names that docs/ shows them by.
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/// Of a long page its beginning is shown.
const HEIGHT_MAX = 1100;

/// Puts screenshots into the directory SHOTS, if it is named: of each name here, what it is called there.
export async function publish(browser, shots, names) {
  if (!process.env.SHOTS) return;
  const to = resolve(process.env.SHOTS);
  mkdirSync(to, { recursive: true });
  const page = await browser.newPage({ viewport: { width: 1280, height: HEIGHT_MAX } });
  for (const [name, picture] of Object.entries(names)) {
    const shot = readFileSync(join(shots, `${name}.png`)).toString("base64");
    await page.setContent(`<style>body { margin: 0 }</style><img src="data:image/png;base64,${shot}">`);
    await page.waitForFunction(() => document.images[0].complete);
    const whole = await page.evaluate(() => document.images[0].naturalHeight);
    const clip = { x: 0, y: 0, width: 1280, height: Math.min(whole, HEIGHT_MAX) };
    await page.screenshot({ path: join(to, `${picture}.png`), clip });
  }
  await page.close();
}
