// The pictures of the documents: screenshots that these tests took, under the names that docs/ shows them by.
import { copyFileSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

/// Copies screenshots to the directory SHOTS, if it is named: of each name here, what it is called there.
export function publish(shots, names) {
  if (!process.env.SHOTS) return;
  const to = resolve(process.env.SHOTS);
  mkdirSync(to, { recursive: true });
  for (const [name, picture] of Object.entries(names)) {
    copyFileSync(join(shots, `${name}.png`), join(to, `${picture}.png`));
  }
}
