import preact from "@preact/preset-vite";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vitest/config";

// Where `make run` listens in plain HTTP.
const server = "http://127.0.0.1:5280";
const forwarded = ["/api", "/upload", "/.well-known", "/invite", "/style.css", "/about"];

export default defineConfig({
  plugins: [preact(), tailwindcss()],
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
