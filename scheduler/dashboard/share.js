// A link for a customer: "send this to whoever runs your DNS". One endpoint, to read, until a day, opened once.
import {h, actButton, confirmed, copyButton, dateText, dialog, field, note, apiOf} from "./dom.js";
import {call} from "./api.js";

const lengths = [["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]];

function letter(e, url, until) {
	const subject = `DNS records for ${e.names[0]}`;
	const body = `Hello,\n\nplease create the DNS records shown on this page, once:\n\n${url}\n\n` +
		`The link opens on one device, once, and works until ${dateText(until)}. The page shows by itself when the records are right.\n`;
	return `mailto:?subject=${encodeURIComponent(subject)}&body=${encodeURIComponent(body)}`;
}

function made(e, answer, into) {
	const url = new URL(answer.path, location.href).href;
	into.replaceChildren(h("p", {}, "Send it to one person: it opens once, on one device. It shows this page, to read, until ", h("strong", {}, dateText(answer.expires)), "."),
		h("div", {class: "value boxed"}, h("code", {id: "link-url"}, url), copyButton(url, "the link")),
		h("p", {}, h("a", {class: "button", href: letter(e, url, answer.expires)}, "Write an e-mail with it")));
	into.querySelector("button").focus();
}

function closed(title) {
	dialog(title, h("p", {}, "This server knows no tokens, so that everybody on this machine may do everything, and a link would open nothing less. Set ",
		h("code", {}, "scheduler.tokens_file"), " in the configuration."));
}

export function linkDialog(e, context) {
	const title = "Send to whoever runs your DNS";
	if (context.open) {
		closed(title);
		return;
	}
	const length = h("select", {}, lengths.map(([s, text]) => h("option", {value: s, selected: s === "604800"}, text)));
	const into = h("div", {"aria-live": "polite"}, h("p", {}, `A link that shows the records of ${e.names[0]} and how they stand, to somebody who has no access here. It can change nothing.`),
		field("link-length", "It works for", length));
	const make = actButton("Make the link", {class: "primary"}, async () => {
		made(e, await call("POST", `${apiOf(e.id)}/links`, {expires_in: Number(length.value)}), into);
		make.remove();
	});
	const revoke = actButton("End all links of it", {class: "danger"}, async () => {
		const answer = await call("DELETE", `${apiOf(e.id)}/links`);
		note(answer.revoked ? `Ended: ${answer.revoked}. Who has one sees nothing more.` : "There was none.");
	});
	const box = dialog(title, into, [revoke, h("button", {type: "button", onclick: () => box.close()}, "Close"), make]);
}
