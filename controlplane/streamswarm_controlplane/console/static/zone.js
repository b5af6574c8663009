// Which clock the times of a page are told by; those in a title, under the pointer, are UTC.

import { ZONE } from "./format.js";

const place = document.getElementById("zone");
if (place) place.textContent = ` · Times are those of ${ZONE}`;
