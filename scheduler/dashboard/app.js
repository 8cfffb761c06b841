// The router: which page an address is, who looks at it, and when it is to be shown anew.
import {h, link, note} from "./dom.js";
import {call, get, listen, deaf} from "./api.js";
import {overviewPage} from "./overview.js";
import {listPage} from "./list.js";
import {alertPage, alertsPage, silencesPage} from "./alerts.js";
import {workersPage} from "./workers.js";
import {endpointPage} from "./endpoint.js";
import {addPage} from "./add.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const lost = document.getElementById("lost");
const context = {who: null, open: false, go, again: () => again()};
let page = null;
let turn = 0;

const routes = [
	[/^\/$/, () => overviewPage(context)],
	[/^\/endpoints$/, () => listPage(context, new URLSearchParams(location.search))],
	[/^\/endpoints\/([^/]+)$/, (id) => endpointPage(decodeURIComponent(id), context)],
	[/^\/add$/, () => addPage(context)],
	[/^\/alerts$/, () => { const key = new URLSearchParams(location.search).get("key"); return key ? alertPage(context, key) : alertsPage(context); }],
	[/^\/silences$/, () => silencesPage(context)],
	[/^\/workers$/, () => workersPage(context)],
	[/^\/link$/, () => openLink()],
];

// --- who looks

// customer: somebody with a link to one endpoint; writes: may change things; runs: of the whole fleet.
function enter(who) {
	context.who = who;
	context.open = who?.name === "local";
	context.customer = Boolean(who?.endpoint);
	context.writes = who?.scope === "write";
	context.runs = context.writes && !who?.tenant;
}

function showNav() {
	const items = context.who && !context.customer ? [["/", "Overview"], ["/endpoints", "Endpoints"], ["/alerts", "Alerts"],
		...(context.who.tenant ? [] : [["/workers", "Workers"]])] : [];
	const here = (path) => (path === "/" ? location.pathname === "/" : location.pathname.startsWith(path) || (path === "/alerts" && location.pathname === "/silences"));
	nav.replaceChildren(...items.map(([path, text]) => link(path, {"aria-current": here(path) ? "page" : null}, text)));
	document.getElementById("account").replaceChildren(context.who && !context.open && !context.customer ? h("button", {type: "button", onclick: logout}, `Log out ${context.who.name}`) : "");
	document.getElementById("fleet").textContent = context.customer ? "" : context.who?.fleet || "";
}

function loginPage() {
	const error = h("p", {class: "error", role: "alert", hidden: true});
	const form = h("form", {onsubmit: async (event) => {
		event.preventDefault();
		try {
			await call("POST", "/v1/session", {token: new FormData(form).get("token").trim()});
			enter(null);
			show(true);
		} catch (problem) {
			error.textContent = problem.code === "unknown_token" ? "This token is not known here. Is it whole?" : problem.message;
			error.hidden = false;
			form.querySelector("input").focus();
		}
	}}, h("div", {class: "field"}, h("label", {for: "token"}, "Token"), h("input", {id: "token", name: "token", type: "password", autocomplete: "current-password", required: true, "aria-describedby": "token-hint"}),
		h("p", {class: "hint", id: "token-hint"}, "Whoever runs this fleet gives one out (scheduler.tokens_file).")), error, h("button", {class: "primary"}, "Log in"));
	return {title: "Log in", body: [h("section", {class: "card narrow", "aria-label": "Log in"}, h("h1", {}, "Log in"), form)], focus: "#token"};
}

async function logout() {
	try {
		await call("DELETE", "/v1/session");
	} catch { /* it is over anyway */ }
	deaf();
	enter(null);
	go("/");
}

// The secret stands behind "#", which is never sent; once it has been exchanged it is of no use, and leaves the address.
async function openLink() {
	const secret = location.hash.slice(1);
	if (secret) {
		history.replaceState(null, "", "/link");
		await exchange(secret);
	}
	enter(await get("/v1/session"));
	showNav();
	return context.customer ? endpointPage(context.who.endpoint, context) : overviewPage(context);
}

// Who opens the same link again on the same device has its cookie already.
async function exchange(secret) {
	try {
		await call("POST", "/v1/links/exchange", {secret});
	} catch (problem) {
		const who = await get("/v1/session").catch(() => null);
		if (!who?.endpoint) throw problem;
	}
}

async function identify() {
	if (context.who || location.pathname === "/link") return;
	enter(await get("/v1/session"));
	if (context.customer && location.pathname === "/") history.replaceState(null, "", "/link");
}

// --- pages

function linkOverPage(problem) {
	return {title: "This link is over", body: [h("section", {class: "card center narrow", "aria-label": "This link is over"}, h("h1", {}, "This link does not open any more"),
		h("p", {}, `${problem.message.charAt(0).toUpperCase()}${problem.message.slice(1)}.`),
		h("p", {}, "Such a link opens once, on one device, and ends after some days or when its sender ends it. Ask whoever sent it to you for a new one: it takes them a moment. What you have created in DNS stays as it is."))]};
}

function problemPage(problem) {
	const onLink = location.pathname === "/link" || context.customer;
	if (problem.code === "link_over" || (problem.status === 401 && onLink)) return linkOverPage(problem);
	if (problem.status === 401) return loginPage();
	const titles = {404: "There is nothing here", 403: "This is not for you", 0: "The server does not answer"};
	return {title: "Not shown", live: true, body: [h("section", {class: "card center narrow", "aria-label": "Not shown"}, h("h1", {}, titles[problem.status] || "This cannot be shown"),
		h("p", {}, problem.message), h("div", {class: "actions middle"}, h("button", {type: "button", onclick: () => show(true)}, "Try again"), onLink ? null : link("/", {class: "button"}, "Overview")))]};
}

// What is to be found again after the page was drawn anew: the control that had the focus, and what was unfolded.
const nameOf = (e) => [e.tagName, e.id, e.getAttribute("aria-label"), e.getAttribute("href"), e.textContent].join("\n");
const alike = (name) => [...main.querySelectorAll("a[href], button, input, select, textarea, summary")].filter((e) => nameOf(e) === name);

function keepPlace(draw) {
	const focused = main.contains(document.activeElement) && document.activeElement !== main ? document.activeElement : null;
	const name = focused && nameOf(focused), nth = focused ? alike(name).indexOf(focused) : -1;
	const unfolded = [...main.querySelectorAll("details")].map((d) => d.open);
	draw();
	main.querySelectorAll("details").forEach((d, i) => { if (unfolded[i]) d.open = true; });
	if (focused) (alike(name)[nth] || alike(name)[0] || main).focus({preventScroll: true});
}

function put(next, focus) {
	const draw = () => main.replaceChildren(...next.body.flat(4).filter(Boolean));
	focus ||= Boolean(!page && next.focus);
	if (page !== next) page?.leave?.();
	page = next;
	document.title = `${next.title} - certfleet`;
	if (!focus) {
		keepPlace(draw);
		return;
	}
	draw();
	(next.focus ? document.querySelector(next.focus) : main)?.focus({preventScroll: true});
}

async function show(focus) {
	const mine = ++turn;
	const [, make] = routes.find(([pattern]) => pattern.test(location.pathname)) || [null, null];
	const match = routes.map(([pattern]) => location.pathname.match(pattern)).find(Boolean);
	let next;
	main.setAttribute("aria-busy", "true");
	try {
		await identify();
		if (!make) throw Object.assign(new Error("This page does not exist."), {status: 404});
		next = await make(...match.slice(1));
		listen(heard);
	} catch (problem) {
		next = problemPage(problem);
	}
	if (mine !== turn) {
		next.leave?.();
		return;
	}
	main.removeAttribute("aria-busy");
	showNav();
	put(next, focus);
}

// --- live

// Nothing moves under somebody who reads a dialog or marks text to copy it by hand.
function disturbed() {
	const marked = getSelection();
	return document.querySelector("dialog[open]") || (!marked.isCollapsed && main.contains(marked.anchorNode));
}

// Shows the same page anew without moving what the reader looks at.
async function again() {
	if (disturbed()) {
		soon(2000);
	} else if (page?.refresh) {
		await page.refresh();
	} else {
		await show(false);
	}
}

let timer = null;
function soon(ms) {
	if (timer) return;
	timer = setTimeout(() => { timer = null; again().catch((p) => note(p.message)); }, ms);
}

let opened = false;
function heard(type, data) {
	lost.hidden = type !== "lost";
	if (type === "open") {
		if (opened) soon(200); // it was away: something may have been missed
		opened = true;
	} else if (page?.watches ? data.endpoint === page.watches || data.subject === page.watches : page?.live) {
		soon(page.watches ? 100 : 1500);
	}
}

function go(path) {
	history.pushState(null, "", path);
	scrollTo(0, 0);
	show(true);
}

document.addEventListener("click", (event) => {
	const a = event.target.closest?.("a[data-link]");
	if (!a || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
	event.preventDefault();
	go(a.getAttribute("href"));
});
addEventListener("popstate", () => show(true));
// A browser has few connections for a server, and a page that it keeps for "back" would hold one.
addEventListener("pagehide", deaf);
addEventListener("pageshow", (event) => { if (event.persisted) show(false); });
setInterval(() => { if (page?.slow || page?.watches || page?.live) soon(0); }, 30000);
show(false);
