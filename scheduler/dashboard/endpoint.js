// One endpoint: what its owner must create, how it stands, and what has happened.
import {h, link, badge, say, when, ago, copyButton, note} from "./dom.js";
import {call, get} from "./api.js";

const subjects = {traffic: "Sends the traffic to us", challenge: "Lets certificates be obtained and renewed for ever"};

function recordRow(r) {
	const wrong = r.status === "wrong" && r.observed;
	return h("tr", {},
		h("td", {"data-name": "Type"}, r.type),
		h("td", {"data-name": "Name"}, h("div", {class: "value"}, h("code", {}, r.owner), copyButton(r.owner, `the name ${r.owner}`))),
		h("td", {"data-name": "Value"}, h("div", {class: "value"}, h("code", {}, r.target), copyButton(r.target, `the value for ${r.owner}`)),
			wrong ? h("p", {class: "small"}, "Found instead: ", h("code", {}, r.observed)) : null,
			h("p", {class: "small quiet"}, subjects[r.purpose] || "")),
		h("td", {"data-name": "Status"}, badge(r.status), r.status === "missing" || !r.code ? null : h("div", {class: "small quiet"}, r.means || say(r.code))));
}

function recordsCard(e, readOnly, check) {
	const all = e.records || [];
	const right = all.length > 0 && all.every((r) => r.status === "right");
	const several = all.length === 1 ? "this record" : `these ${all.length} records`;
	return h("section", {class: "card", "aria-labelledby": "records"},
		h("div", {class: "head"},
			h("h2", {id: "records"}, right ? "DNS is right" : `Create ${several} at the domain’s DNS provider, once`),
			h("div", {class: "actions"}, readOnly ? null : h("button", {type: "button", onclick: check}, "Check now"))),
		e.records === null ? h("p", {}, "The records cannot be told here: the label key is not on this machine.") :
		h("table", {class: "stack"},
			h("thead", {}, h("tr", {}, ["Type", "Name", "Value", "Status"].map((t) => h("th", {scope: "col"}, t)))),
			h("tbody", {}, all.map(recordRow))),
		h("p", {class: "small quiet"}, "Last looked at: ", when(e.dns?.looked), ". ",
			right ? "It is looked at again all the time." : "This page turns green by itself once the records are there."));
}

function finding(d) {
	return h("div", {class: `finding ${d.severity}`},
		h("p", {}, h("strong", {}, d.sentence || say(d.code))),
		(d.observed || []).length ? h("ul", {class: "small"}, d.observed.map((o) =>
			h("li", {}, h("code", {}, o.server), ": ", o.what, o.ttl ? ` (TTL ${o.ttl} s)` : ""))) : null,
		d.fix ? h("pre", {}, d.fix) : null,
		d.effect ? h("p", {}, d.effect) : null,
		h("p", {class: "small quiet"}, `Who must act: ${say(d.actor)}.`, d.next_check ? ` Looked at again ${ago(d.next_check)}.` : ""));
}

function findingsCard(e) {
	const all = e.findings || e.diagnoses || [];
	if (!all.length) return null;
	return h("section", {class: "card", "aria-labelledby": "findings"},
		h("h2", {id: "findings"}, all.length === 1 ? "What was found" : `What was found (${all.length})`), all.map(finding));
}

function issuanceLines(e) {
	const i = e.issuance || {};
	const lines = [];
	if (i.waiting_quota) lines.push(["Waits", [`for ${i.waiting_quota.limit || "a limit"}, until `, when(i.waiting_quota.until)]]);
	if (i.failures) lines.push(["Last attempt", [`failed (${i.failures} in a row): ${i.detail || say(i.code)}`]], ["Next attempt", [when(i.next)]]);
	for (const n of e.dns?.names || []) {
		const ways = ["dns-01", "http-01"].filter((w) => n[w] === "can");
		lines.push([n.name, [n.claim === "held_elsewhere" ? "another tenant holds this name" :
			ways.length ? `can be validated by ${ways.join(" and ")}` : "cannot be validated yet"]]);
	}
	return lines;
}

function certificateCard(e) {
	const c = e.certificate;
	const rows = c ? [["Status", [badge(c.status)]], ["Valid until", [when(c.not_after), ` (${new Date(c.not_after).toLocaleDateString()})`]],
		["Renewed", [when(c.renew_at), c.ari ? " as the authority suggests" : " by its lifetime"]], ["Issued", [when(c.issued), ` by ${c.issuer || c.authority}`]],
		["Serial", [h("code", {}, c.serial)]], ["Key", [c.key_type]]] : [];
	if (c?.partial) rows.push(["Partial", ["some names are left out, since they cannot be validated now"]]);
	return h("section", {class: "card", "aria-labelledby": "certificate"}, h("h2", {id: "certificate"}, "Certificate"),
		c ? null : h("p", {}, "There is none yet. It is obtained by itself as soon as DNS is right."),
		h("dl", {}, [...rows, ...issuanceLines(e)].map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
}

function servedCard(e) {
	const s = e.served;
	if (!s || (s.status === "unknown" && !s.reason)) return null;
	const seen = s.status === "unknown" ? [badge(s.status), ` ${say(s.reason)}, tried `, when(s.looked)] :
		[badge(s.status), ` at ${s.right ?? 0} of ${s.addresses ?? 0} addresses, seen `, when(s.looked)];
	return h("section", {class: "card", "aria-labelledby": "served"}, h("h2", {id: "served"}, "What is served"), h("p", {}, seen),
		s.behind?.length ? h("ul", {class: "small"}, s.behind.map((b) => h("li", {}, h("code", {}, b.address), ` ${say(b.code)} ${b.what}`))) : null);
}

function timelineCard(e) {
	const entries = [...(e.timeline || [])].reverse();
	return h("section", {class: "card", "aria-labelledby": "timeline"}, h("h2", {id: "timeline"}, "What has happened"),
		entries.length ? h("ul", {class: "timeline"}, entries.map((t) =>
			h("li", {}, h("span", {class: "quiet"}, when(t.time)), h("b", {}, say(t.what)), h("span", {}, t.text)))) :
		h("p", {class: "quiet"}, "Nothing yet."));
}

async function act(what, fn) {
	try {
		await fn();
		note(what);
	} catch (problem) {
		note(problem.message);
	}
}

async function customerLink(e) {
	const answer = await call("POST", `/v1/endpoints/${e.id}/links`, {});
	const url = new URL(answer.path, location.href).href;
	const dialog = h("dialog", {"aria-labelledby": "dialog-title"},
		h("h2", {id: "dialog-title"}, "A link for whoever runs the DNS"),
		h("p", {}, "It shows this page, to read, until ", when(answer.expires), ". It opens once, on one device."),
		h("div", {class: "value"}, h("code", {}, url), copyButton(url, "the link")),
		h("p", {}, h("button", {type: "button", class: "primary", onclick: () => dialog.close()}, "Done")));
	document.body.append(dialog);
	dialog.addEventListener("close", () => dialog.remove());
	dialog.showModal();
}

export async function endpointPage(id, context) {
	const e = await get(`/v1/endpoints/${encodeURIComponent(id)}`);
	const readOnly = context.who.scope !== "write";
	const path = `/v1/endpoints/${id}`;
	const check = () => act("DNS is being looked at now.", () => call("POST", `${path}/verify`));
	const actions = readOnly ? null : h("div", {class: "actions"},
		context.open ? null : h("button", {type: "button", onclick: () => customerLink(e).catch((p) => note(p.message))}, "Link for the customer"),
		e.certificate ? h("button", {type: "button", onclick: () => act("It is being renewed.", () => call("POST", `${path}/renew`))}, "Renew now") : null,
		h("button", {type: "button", class: "danger", onclick: () => {
			if (confirm(`Remove ${id}? Its certificate will no longer be renewed.`))
				act("It is being removed.", () => call("DELETE", path).then(() => context.go("/endpoints")));
		}}, "Remove"));
	return {
		title: id,
		watches: id,
		body: [h("div", {class: "head"}, h("h1", {}, e.names.join(", ")), badge(e.state),
			e.reason ? h("span", {class: "quiet"}, e.means || say(e.reason)) : null, actions),
			h("p", {class: "quiet"}, `${e.type} endpoint ${e.id} of ${e.tenant}`, e.target ? [", traffic to ", h("code", {}, e.target)] : ""),
			findingsCard(e), recordsCard(e, readOnly, check),
			h("div", {class: "grid"}, certificateCard(e), servedCard(e)), h("br"), timelineCard(e)],
	};
}

export function addPage(context) {
	const error = h("p", {class: "state bad", role: "alert", hidden: true});
	const target = h("div", {class: "field"}, h("label", {for: "target"}, "Target"),
		h("input", {id: "target", name: "target", autocomplete: "off", spellcheck: "false", placeholder: "ingress.platform.example"}),
		h("p", {class: "hint"}, "The platform’s host name that the traffic should reach."));
	const submit = h("button", {class: "primary"}, "Add it");
	const kind = (value, title, text, checked) => h("label", {},
		h("input", {type: "radio", name: "type", value, checked, onchange: () => { target.hidden = value === "internal"; }}),
		h("span", {}, h("b", {}, title), h("span", {class: "small quiet"}, text)));
	const form = h("form", {novalidate: true, onsubmit: async (event) => {
		event.preventDefault();
		const data = new FormData(form);
		const body = {names: data.get("names").split(/[\s,]+/).filter(Boolean), type: data.get("type")};
		for (const key of ["tenant", "id"]) if (data.get(key)) body[key] = data.get(key).trim();
		if (body.type === "external" && data.get("target")) body.target = data.get("target").trim();
		submit.disabled = true;
		error.hidden = true;
		try {
			const answer = await call("POST", "/v1/endpoints", body);
			if (answer.endpoint) context.go(`/endpoints/${answer.endpoint}`);
			else note(answer.detail);
		} catch (problem) {
			error.textContent = problem.message;
			error.hidden = false;
		}
		submit.disabled = false;
	}},
		h("div", {class: "field"}, h("label", {for: "names"}, "Domain names"),
			h("textarea", {id: "names", name: "names", required: true, spellcheck: "false", autocapitalize: "none", "aria-describedby": "names-hint"}),
			h("p", {class: "hint", id: "names-hint"}, "One a line. A wildcard is written as *.example.com. All of them share one certificate.")),
		h("fieldset", {class: "choices"}, h("legend", {}, "Who can reach them?"),
			kind("external", "Everybody (external)", "Traffic comes from the internet. The owner creates two records a name.", true),
			kind("internal", "Not the internet (internal)", "Closed or filtered. The owner creates one record a name, and nothing must be opened.")),
		target,
		h("details", {class: "field"}, h("summary", {}, "More"),
			h("div", {class: "field"}, h("label", {for: "tenant"}, "Tenant"), h("input", {id: "tenant", name: "tenant", autocomplete: "off", value: context.who.tenant || "", readonly: Boolean(context.who.tenant)})),
			h("div", {class: "field"}, h("label", {for: "id"}, "Id"), h("input", {id: "id", name: "id", autocomplete: "off"}), h("p", {class: "hint"}, "Made from the first name when left empty."))),
		error, h("p", {}, submit));
	return {title: "Add an endpoint", body: [h("div", {class: "head"}, h("h1", {}, "Add an endpoint")), h("div", {class: "card"}, form)], focus: "#names"};
}
