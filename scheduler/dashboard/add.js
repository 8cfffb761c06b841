// One form that ends on the endpoint's page.
import {h, link, field, note, pathOf} from "./dom.js";
import {call} from "./api.js";

const kinds = [
	["external", "Everybody (external)", "Traffic comes from the internet. The owner creates two records for each name."],
	["internal", "Not the internet (internal)", "Closed or filtered. The owner creates one record for each name; nothing must be opened."],
];

const words = (text) => text.split(/[\s,]+/).filter(Boolean);

function bodyOf(form) {
	const data = new FormData(form);
	const body = {names: words(data.get("names")), type: data.get("type")};
	for (const key of ["tenant", "id"]) if (data.get(key)?.trim()) body[key] = data.get(key).trim();
	if (body.type === "external" && data.get("target").trim()) body.target = data.get("target").trim();
	return body;
}

// What can be seen to be missing is said before anything is sent.
function missing(body) {
	if (!body.names.length) return ["names", "Which domain name is it? At least one is needed."];
	if (body.type === "external" && !body.target) return ["target", "Where should the traffic go? The platform’s host name is needed for an external endpoint."];
	return null;
}

export function addPage(context) {
	const error = h("p", {class: "error", id: "add-error", role: "alert", hidden: true});
	const names = h("textarea", {required: true, spellcheck: "false", autocapitalize: "none", rows: "3", placeholder: "shop.example.com"});
	const target = h("input", {autocomplete: "off", spellcheck: "false", autocapitalize: "none", placeholder: "ingress.platform.example", value: sessionStorage.getItem("target") || ""});
	const targetField = field("target", "Where the traffic goes", target, "The platform’s own host name: the owner’s name becomes an alias (CNAME) of it.");
	const submit = h("button", {class: "primary"}, "Add it");
	const fail = (where, text) => {
		for (const control of [names, target]) control.removeAttribute("aria-invalid");
		error.textContent = text;
		error.hidden = false;
		const control = {names, target}[where];
		control?.setAttribute("aria-invalid", "true");
		control?.focus();
	};
	const send = async (event) => {
		event.preventDefault();
		const body = bodyOf(form), lack = missing(body);
		error.hidden = true;
		if (lack) {
			fail(...lack);
			return;
		}
		submit.disabled = true;
		try {
			const answer = await call("POST", "/v1/endpoints", body);
			if (body.target) sessionStorage.setItem("target", body.target);
			if (answer.endpoint) context.go(pathOf(answer.endpoint));
			else note(answer.detail || "It is queued: no scheduler leads at this moment.");
		} catch (problem) {
			fail(/target/.test(problem.message) ? "target" : "names", problem.message);
		}
		submit.disabled = false;
	};
	const kind = ([value, title, text]) => h("label", {}, h("input", {type: "radio", name: "type", value, checked: value === "external",
		onchange: () => { targetField.hidden = value === "internal"; }}), h("span", {}, h("b", {}, title), h("span", {class: "small quiet"}, text)));
	const form = h("form", {novalidate: true, onsubmit: send},
		field("names", "Domain names", names, "One a line. A wildcard is written as *.example.com. All of them share one certificate."),
		h("fieldset", {class: "choices"}, h("legend", {}, "Who can reach them?"), kinds.map(kind)), targetField,
		h("details", {class: "field"}, h("summary", {}, "More"),
			field("tenant", "Tenant", h("input", {autocomplete: "off", value: context.who.tenant || "", readonly: Boolean(context.who.tenant)}), "Whose domain it is. One tenant is never given what another holds."),
			field("id", "Id", h("input", {autocomplete: "off"}), "Made from the first name when left empty.")),
		error, h("div", {class: "actions"}, submit, link("/endpoints", {class: "button"}, "Cancel")));
	return {title: "Add an endpoint", body: [h("div", {class: "head"}, h("h1", {}, "Add an endpoint")), h("div", {class: "card"}, form)], focus: "#names"};
}
