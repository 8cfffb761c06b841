// All endpoints: search as one types, filters, pages. What is typed asks once it pauses, and an answer that has been
// overtaken is not waited for.
import {h, link, number, say, several} from "./dom.js";
import {get} from "./api.js";
import {endpointRows, endpointTable, states, troubled} from "./parts.js";

const PAGE = 50;
const MOST = 200; // of one answer; longer lists are not shown anew by themselves
const PAUSE_MS = 200;

const orders = [["", "by id"], ["expiry", "what ends first"], ["trouble", "the worst first"]];
const options = (list, value) => list.map(([v, t]) => h("option", {value: v, selected: v === value}, t));

async function reasonChoices(chosen) {
	const {reasons} = await get("/v1/status");
	const rows = reasons.map((r) => [r.reason, `${r.means || say(r.reason)} (${number(r.endpoints)})`]);
	if (chosen && !reasons.some((r) => r.reason === chosen)) rows.unshift([chosen, say(chosen)]);
	return [["", "any"], ...rows];
}

function makeControls(context, query, reasons) {
	const text = (name, attributes) => h("input", {type: "search", autocomplete: "off", spellcheck: "false", value: query.get(name) || "", ...attributes});
	const choice = (name, list) => h("select", {}, options(list, query.get(name) || ""));
	const given = query.get("state") || "";
	const stateRows = [["", "any"], [troubled.join(","), "not active"], ...states.map((s) => [s, say(s)])];
	if (!stateRows.some(([v]) => v === given)) stateRows.splice(2, 0, [given, given.split(",").map(say).join(", ")]);
	return {
		q: ["Search", text("q", {placeholder: "part of a name or id"}), "wide"],
		state: ["State", choice("state", stateRows)],
		reason: ["Why", choice("reason", reasons)],
		type: ["Type", choice("type", [["", "any"], ["external", "external"], ["internal", "internal"]])],
		...(context.who.tenant ? {} : {tenant: ["Tenant", text("tenant")]}),
		sort: ["Order", choice("sort", orders)],
	};
}

export async function listPage(context, query) {
	const results = h("div", {class: "results"});
	const count = h("p", {class: "quiet", role: "status"});
	const controls = makeControls(context, query, await reasonChoices(query.get("reason")));
	let under = null, shown = 0;

	const parameters = (more) => {
		const p = new URLSearchParams();
		for (const [name, [, control]] of Object.entries(controls)) if (control.value.trim()) p.set(name, control.value.trim());
		for (const [name, value] of Object.entries(more)) if (value) p.set(name, value);
		return p;
	};
	const tell = (total) => { count.textContent = total ? `${several(total, "endpoint")} ${total === 1 ? "fits" : "fit"}` : ""; };
	const moreButton = (page) => (page.next ? h("p", {class: "center more"}, h("button", {type: "button", onclick: () => load({after: page.next})},
		`Show ${Math.min(PAGE, Math.max(1, page.total - shown))} more of ${number(page.total)}`)) : null);
	const put = (page, after) => {
		tell(page.total);
		results.querySelector(".more")?.remove();
		if (after) {
			const rows = endpointRows(page.endpoints);
			results.querySelector("tbody").append(...rows);
			rows[0]?.querySelector("a").focus({preventScroll: true});
			shown += rows.length;
		} else {
			results.replaceChildren(page.endpoints.length ? endpointTable(page.endpoints, "Endpoints") : h("p", {class: "center quiet"}, "No endpoint fits."));
			shown = page.endpoints.length;
		}
		results.append(moreButton(page) || "");
		results.removeAttribute("aria-busy");
	};
	// Rejects only on what the reader must know.
	const load = async ({after, limit = PAGE} = {}) => {
		under?.abort();
		const mine = under = new AbortController();
		results.setAttribute("aria-busy", "true");
		try {
			put(await get(`/v1/endpoints?${parameters({limit, after})}`, mine.signal), after);
		} catch (problem) {
			if (problem.name !== "AbortError") {
				results.replaceChildren(h("p", {class: "center"}, problem.message));
				results.removeAttribute("aria-busy");
			}
		}
	};
	const search = () => {
		const p = parameters({});
		history.replaceState(null, "", `/endpoints${p.size ? `?${p}` : ""}`);
		return load();
	};
	let timer;
	const soon = () => { clearTimeout(timer); timer = setTimeout(search, PAUSE_MS); };
	const shape = ([name, [label, control, wide]]) => {
		control.id = `f-${name}`;
		control.name = name;
		control.addEventListener("input", soon);
		return h("div", {class: wide}, h("label", {for: control.id}, label), control);
	};
	await load();
	return {
		title: "Endpoints", live: true,
		refresh: () => (shown <= MOST ? load({limit: Math.max(PAGE, shown)}) : null),
		leave: () => { clearTimeout(timer); under?.abort(); },
		body: [h("div", {class: "head"}, h("h1", {}, "Endpoints"), count, context.writes ? h("div", {class: "actions"}, link("/add", {class: "button primary"}, "Add an endpoint")) : null),
			h("form", {class: "filters", role: "search", onsubmit: (e) => { e.preventDefault(); clearTimeout(timer); search(); }}, Object.entries(controls).map(shape)),
			h("section", {class: "card", "aria-label": "Endpoints"}, results)],
	};
}
