import { render } from "preact";

import "./index.css";
import { App } from "./app/App";
import { language } from "./app/i18n";
import { applyTheme } from "./app/theme";

applyTheme();
document.documentElement.lang = language.getState().language;
const root = document.getElementById("app");
if (root) render(<App />, root);
