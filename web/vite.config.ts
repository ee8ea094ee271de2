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
    generateBundle(_options, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        if (!/\.(js|css)$/.test(fileName)) continue;
        const source = gzipSync(file.type === "chunk" ? file.code : file.source, { level: 9 });
        this.emitFile({ type: "asset", fileName: `${fileName}.gz`, source });
      }
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
