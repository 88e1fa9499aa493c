// Loads packages from the folder that WAMPLINE_NODE_BASE names, so that the source tree holds no node_modules.

import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const base = process.env.WAMPLINE_NODE_BASE ?? path.dirname(path.dirname(fileURLToPath(import.meta.url)));

export const load = createRequire(path.join(base, "package.json"));
