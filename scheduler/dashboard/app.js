// The router: which page an address is, who looks at it, and when it is to be shown anew.
import {h, link, note} from "./dom.js";
import {call, get, listen, deaf} from "./api.js";
import {overviewPage, listPage, alertsPage, workersPage} from "./pages.js";
import {endpointPage, addPage} from "./endpoint.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const context = {who: null, open: false, go};
let page = null;
let turn = 0;

const routes = [
	[/^\/$/, () => overviewPage(context)],
	[/^\/endpoints$/, () => listPage(context, new URLSearchParams(location.search))],
	[/^\/endpoints\/([^/]+)$/, (id) => endpointPage(decodeURIComponent(id), context)],
	[/^\/add$/, () => addPage(context)],
	[/^\/alerts$/, () => alertsPage()],
	[/^\/workers$/, () => workersPage()],
	[/^\/link$/, () => openLink()],
];

function showNav() {
	const items = context.who && !context.who.endpoint ? [["/", "Overview"], ["/endpoints", "Endpoints"], ["/alerts", "Alerts"],
		...(context.who.tenant ? [] : [["/workers", "Workers"]])] : [];
	const here = (path) => (path === "/" ? location.pathname === "/" : location.pathname.startsWith(path));
	nav.replaceChildren(...items.map(([path, text]) => link(path, {"aria-current": here(path) ? "page" : null}, text)),
		context.who && !context.open && !context.who.endpoint ? h("button", {type: "button", class: "end", onclick: logout}, `Log out ${context.who.name}`) : "");
	document.getElementById("fleet").textContent = context.who?.fleet || "";
}

function put(next, focus) {
	page = next;
	document.title = `${next.title} - certfleet`;
	main.replaceChildren(...next.body.flat(3).filter(Boolean));
	if (focus) (next.focus ? document.querySelector(next.focus) : main)?.focus({preventScroll: true});
}

function problemPage(problem) {
	if (problem.status === 401 && problem.code !== "link_over") return loginPage();
	return {title: "Not shown", body: [h("section", {class: "card center"}, h("h1", {}, problem.status === 404 ? "There is nothing here" : "This cannot be shown"),
		h("p", {}, problem.message), h("p", {}, h("button", {type: "button", onclick: () => show(true)}, "Try again")))]};
}

function loginPage() {
	const error = h("p", {class: "state bad", role: "alert", hidden: true});
	const form = h("form", {onsubmit: async (event) => {
		event.preventDefault();
		try {
			await call("POST", "/v1/session", {token: new FormData(form).get("token").trim()});
			context.who = null;
			show(true);
		} catch (problem) {
			error.textContent = problem.message;
			error.hidden = false;
		}
	}}, h("div", {class: "field"}, h("label", {for: "token"}, "Token"), h("input", {id: "token", name: "token", type: "password", autocomplete: "current-password", required: true}),
		h("p", {class: "hint"}, "Whoever runs this fleet gives one out.")), error, h("p", {}, h("button", {class: "primary"}, "Log in")));
	return {title: "Log in", body: [h("section", {class: "card"}, h("h1", {}, "Log in"), h("br"), form)], focus: "#token"};
}

async function logout() {
	try {
		await call("DELETE", "/v1/session");
	} catch { /* it is over anyway */ }
	deaf();
	context.who = null;
	go("/");
}

// The secret stands behind "#", which is never sent; once it has been exchanged it is of no use, and leaves the address.
async function openLink() {
	const secret = location.hash.slice(1);
	if (secret) {
		history.replaceState(null, "", "/link");
		await call("POST", "/v1/links/exchange", {secret});
	}
	context.who = await get("/v1/session");
	showNav();
	if (!context.who.endpoint) return overviewPage(context);
	return endpointPage(context.who.endpoint, context);
}

async function identify() {
	if (context.who || location.pathname === "/link") return;
	context.who = await get("/v1/session");
	context.open = context.who.name === "local";
}

async function show(focus) {
	const mine = ++turn;
	const [, make] = routes.find(([pattern]) => pattern.test(location.pathname)) || [null, null];
	const match = routes.map(([pattern]) => location.pathname.match(pattern)).find(Boolean);
	let next;
	try {
		await identify();
		if (!make) throw Object.assign(new Error("This page does not exist."), {status: 404});
		next = await make(...match.slice(1));
		listen(heard);
	} catch (problem) {
		next = problemPage(problem);
	}
	if (mine !== turn) return;
	showNav();
	put(next, focus);
}

// Shows the same page anew without moving what the reader looks at.
async function again() {
	if (document.querySelector("dialog[open]")) return;
	if (page?.refresh) await page.refresh();
	else await show(false);
}

let timer = null;
function soon(ms) {
	if (timer) return;
	timer = setTimeout(() => { timer = null; again().catch((p) => note(p.message)); }, ms);
}

let opened = false;
function heard(type, data) {
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
