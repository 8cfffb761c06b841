// Elements, words and times. Text from anywhere becomes text nodes: nothing here parses HTML.

export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name === "style") Object.assign(element.style, value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
	return element;
}

export const link = (href, attributes, ...children) => h("a", {href, "data-link": true, ...attributes}, ...children);

export function note(text) {
	const p = h("p", {}, text);
	document.getElementById("notes").append(p);
	setTimeout(() => p.remove(), 8000);
}

const tints = {
	active: "good", provisioning: "busy", waiting_dns: "warn", partial: "warn", failing: "bad", expired: "bad",
	parked: "bad", departed: "", removing: "", right: "good", missing: "warn", wrong: "bad", error: "bad", unknown: "",
	valid: "good", due: "busy", revoked: "bad", critical: "bad", warning: "warn", info: "busy",
};
const words = {
	waiting_dns: "waiting for DNS", ca_disagrees: "the authority sees it otherwise", not_looked_at: "not looked at yet",
};

export const say = (word) => words[word] || String(word ?? "").replaceAll("_", " ");
export const tintOf = (word) => tints[word] || "";
export const badge = (word, title) => h("span", {class: `state ${tintOf(word)}`, title}, say(word));

const relative = new Intl.RelativeTimeFormat("en", {numeric: "auto"});
const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function ago(time) {
	const seconds = (new Date(time) - Date.now()) / 1000;
	const [unit, size] = units.find(([, s]) => Math.abs(seconds) >= s) || units[units.length - 1];
	return relative.format(Math.round(seconds / size), unit);
}

// A time as people say it, with the exact one behind it.
export function when(time) {
	if (!time) return h("span", {class: "quiet"}, "never");
	return h("time", {datetime: time, title: new Date(time).toLocaleString()}, ago(time));
}

export const number = (n) => new Intl.NumberFormat("en").format(n);

export function copyButton(text, what) {
	return h("button", {type: "button", class: "copy", "aria-label": `Copy ${what}`, onclick: async (event) => {
		const button = event.currentTarget;
		try {
			await navigator.clipboard.writeText(text);
		} catch {
			const area = h("textarea", {}, text);
			document.body.append(area);
			area.select();
			document.execCommand("copy");
			area.remove();
		}
		button.textContent = "Copied";
		setTimeout(() => { button.textContent = "Copy"; }, 1500);
	}}, "Copy");
}
