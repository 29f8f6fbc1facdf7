// Asks a library of the system for its version: `replit.nix` declares it. Needs `npm install`.

const koffi = require("koffi");

const cairo = koffi.load("libcairo.so.2");
const version = cairo.func("const char *cairo_version_string()");
console.log("cairo", version());
