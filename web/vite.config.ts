import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import preact from "@preact/preset-vite";
import tailwindcss from "@tailwindcss/vite";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// Where `make run` listens in plain HTTP.
const server = "http://127.0.0.1:5280";
const forwarded = ["/api", "/upload", "/.well-known", "/invite", "/style.css", "/about"];

/** Puts a compressed copy beside each script and style sheet, which the server sends to who takes it. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    // Of what was written: vite still changes the chunks after they are generated.
    async writeBundle({ dir = "dist" }, bundle) {
      const names = Object.keys(bundle).filter((name) => /\.(js|css)$/.test(name));
      await Promise.all(
        names.map(async (name) => {
          const source = await readFile(join(dir, name));
          await writeFile(join(dir, `${name}.gz`), gzipSync(source, { level: 9 }));
        }),
      );
    },
  };
}

export default defineConfig({
  plugins: [preact(), tailwindcss(), compressed()],
  // The content security policy allows no inline files.
  build: { assetsInlineLimit: 0, target: "es2022", modulePreload: { polyfill: false } },
  server: {
    proxy: {
      "/xmpp-websocket": { target: server, ws: true },
      ...Object.fromEntries(forwarded.map((path) => [path, { target: server }])),
    },
  },
  test: {
    include: ["src/**/*.test.ts"],
    reporters: ["default", "./scripts/sum-reporter.mjs"],
  },
});
