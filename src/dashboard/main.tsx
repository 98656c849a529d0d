/** The dashboard: a page of its own, served by esc, that knows nothing but what the API tells it. */
import { render } from "preact";
import { startLive } from "./live/connection.ts";
import { Shell } from "./shell.tsx";
import { listenToKeys } from "./shortcuts.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
listenToKeys();
startLive();
const root = document.getElementById("root");
if (root !== null) render(<Shell />, root);
