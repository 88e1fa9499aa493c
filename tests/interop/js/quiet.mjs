// The clients log to the console, but standard output belongs to the protocol of peers.mjs. Imported before any of them.

for (const level of ["log", "info", "warn", "debug", "error"]) console[level] = () => {};
