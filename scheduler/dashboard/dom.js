// Elements, words and times. Text from anywhere becomes text nodes: nothing here parses HTML.

export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name === "style") Object.assign(element.style, value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat(4).filter((c) => c !== null && c !== undefined && c !== false));
	return element;
}

export const link = (href, attributes, ...children) => h("a", {href, "data-link": true, ...attributes}, ...children);
export const pathOf = (endpoint) => `/endpoints/${encodeURIComponent(endpoint)}`;
export const apiOf = (endpoint) => `/v1/endpoints/${encodeURIComponent(endpoint)}`;

export function note(text, tint) {
	const p = h("p", {class: tint || ""}, text);
	const region = document.getElementById("notes");
	const over = document.querySelector("dialog[open]") || document.body; // what lies under a dialog is not heard
	if (region.parentElement !== over) over.append(region);
	region.append(p);
	setTimeout(() => p.remove(), 8000);
}

// --- words

const tints = {
	active: "good", provisioning: "busy", waiting_dns: "warn", partial: "warn", failing: "bad", expired: "bad",
	parked: "bad", departed: "", removing: "", right: "good", missing: "warn", wrong: "bad", error: "bad", unknown: "",
	valid: "good", due: "busy", revoked: "bad", critical: "bad", warning: "warn", info: "busy",
	ok: "good", stale: "warn", unreachable: "bad", running: "busy",
};
const words = {
	waiting_dns: "waiting for DNS", not_looked_at: "not looked at yet", ok: "as issued", stale: "not everywhere yet",
	error: "unclear", lapsed_thrice: "its worker was lost three times",
};
const actors = {
	owner: "the domain’s owner", operator: "whoever runs this fleet", authority: "the certificate authority",
	nobody: "nobody: it mends itself",
};

export const say = (word) => words[word] || String(word ?? "").replaceAll("_", " ");
export const tintOf = (word) => tints[word] || "";
export const actor = (word) => actors[word] || say(word);
export const badge = (word, text) => h("span", {class: `state ${tintOf(word)}`}, text || say(word));
// A DNS name or the like, to be broken behind its dots if it must be; copied it is as it was.
export const code = (text, attributes) => h("code", attributes, String(text).split(/(?<=[.,/])/).flatMap((part, i) => (i ? [h("wbr"), part] : [part])));
export const number = (n) => new Intl.NumberFormat("en").format(n);
export const several = (n, one, many) => `${number(n)} ${n === 1 ? one : many || `${one}s`}`;

// --- times

const relative = new Intl.RelativeTimeFormat("en", {numeric: "auto"});
const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function ago(time) {
	const seconds = (new Date(time) - Date.now()) / 1000;
	if (Math.abs(seconds) < 5) return "just now";
	const [unit, size] = units.find(([, s]) => Math.abs(seconds) >= s) || units[units.length - 1];
	return relative.format(Math.round(seconds / size), unit);
}

const dayFormat = new Intl.DateTimeFormat("en", {day: "numeric", month: "short", year: "numeric"});
const minuteFormat = new Intl.DateTimeFormat("en", {day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hour12: false});
export const dateText = (time) => dayFormat.format(new Date(time));
export const minuteText = (time) => minuteFormat.format(new Date(time));
const iso = (time) => new Date(time).toISOString();

// A time as people say it, kept true while it is shown, with the exact one behind it.
export function when(time) {
	if (!time) return h("span", {class: "quiet"}, "never");
	return h("time", {datetime: iso(time), "data-ago": true, title: new Date(time).toLocaleString()}, ago(time));
}

// The date that goes into a calendar, and how far it is.
export function deadline(time) {
	if (!time) return h("span", {class: "quiet"}, "no date");
	return h("span", {}, h("time", {datetime: iso(time)}, dateText(time)), " (", when(time), ")");
}

export function span(ms) {
	const seconds = Math.round(ms / 1000);
	const [unit, size] = units.find(([, s]) => seconds >= s) || ["second", 1];
	return several(Math.round(seconds / size), unit);
}

setInterval(() => {
	for (const t of document.querySelectorAll("time[data-ago]")) {
		const text = ago(t.getAttribute("datetime"));
		if (t.textContent !== text) t.textContent = text;
	}
}, 5000);

const instant = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

// What the fleet says, with its times as people read them.
export function prose(text) {
	const out = [];
	let at = 0;
	for (const found of String(text || "").matchAll(instant)) {
		out.push(text.slice(at, found.index), h("time", {datetime: found[0], title: found[0]}, minuteText(found[0])));
		at = found.index + found[0].length;
	}
	out.push(String(text || "").slice(at));
	return out;
}

// --- controls

async function toClipboard(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch { // not over TLS
		const area = h("textarea", {}, text);
		(document.querySelector("dialog[open]") || document.body).append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
}

export function copyButton(text, what, label = "Copy") {
	return h("button", {type: "button", class: "copy", "aria-label": `${label} ${what}`, onclick: async (event) => {
		const button = event.currentTarget;
		await toClipboard(text);
		button.focus();
		button.textContent = "Copied";
		note(`Copied ${what}.`);
		setTimeout(() => { button.textContent = label; }, 1500);
	}}, label);
}

// A button that does something at the server: deaf while it does, and its failure is said.
export function actButton(text, attributes, fn) {
	return h("button", {type: "button", ...attributes, onclick: async (event) => {
		const button = event.currentTarget;
		button.setAttribute("aria-disabled", "true");
		try {
			await fn();
		} catch (problem) {
			note(problem.message, "bad");
		}
		button.removeAttribute("aria-disabled");
	}}, text);
}

export function field(id, label, control, hint) {
	control.id = id;
	control.name ||= id;
	if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
	return h("div", {class: "field"}, h("label", {for: id}, label), control, hint ? h("p", {class: "hint", id: `${id}-hint`}, hint) : null);
}

// A dialog with a title; Escape and its button close it, and the focus goes back to where it was.
export function dialog(title, body, buttons) {
	const from = document.activeElement;
	const box = h("dialog", {"aria-labelledby": "dialog-title"}, h("h2", {id: "dialog-title"}, title), body,
		h("div", {class: "actions"}, buttons || h("button", {type: "button", class: "primary", onclick: () => box.close()}, "Done")));
	document.body.append(box);
	box.addEventListener("close", () => {
		document.body.append(document.getElementById("notes"));
		box.remove();
		if (from?.isConnected) from.focus();
		else document.getElementById("main").focus({preventScroll: true});
	});
	box.showModal();
	return box;
}

// Asks before what cannot be taken back.
export function confirmed(title, text, label) {
	return new Promise((resolve) => {
		let yes = false;
		const box = dialog(title, h("p", {}, text), [
			h("button", {type: "button", autofocus: true, onclick: () => box.close()}, "Cancel"),
			h("button", {type: "button", class: "danger", onclick: () => { yes = true; box.close(); }}, label)]);
		box.addEventListener("close", () => resolve(yes));
	});
}
