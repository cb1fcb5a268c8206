"use strict";
// The live parts. Every page is whole without this; no text that came from outside is
// ever read as HTML here: parts of pages come as documents, which run no scripts.

(() => {
  const parts = [...document.querySelectorAll("[data-refresh]")];
  const busy = (part) =>
    document.hidden || part.contains(document.activeElement) || part.querySelector("details[open], :checked");

  function refresh(part) {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.timeout = 10_000;
    request.open("GET", location.href);
    request.onloadend = () => {
      const fresh = request.status === 200 && request.response?.getElementById(part.id);
      if (fresh && !busy(part)) {
        const news = document.adoptNode(fresh);
        part.replaceWith(news);
        part = news;
      }
      if (request.status === 401 || (request.responseURL || "").includes("/login")) location.reload();
      else later(part);
    };
    request.send();
  }

  function later(part) {
    if (!part.dataset.refresh) return; // it has ended
    setTimeout(() => (busy(part) ? later(part) : refresh(part)), part.dataset.refresh * 1_000);
  }

  parts.forEach(later);
})();

// Live: rows as they come. Text stays text: everything is put in by textContent.
(() => {
  const table = document.getElementById("live");
  if (!table?.dataset.stream) return;
  const body = table.tBodies[0];
  const state = document.getElementById("live-state");
  const pause = document.getElementById("live-pause");
  const most = 200;
  let source = null;
  let left = 0;

  const made = (name, text, classes) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (classes) element.className = classes;
    return element;
  };

  function line(row) {
    const tr = made("tr");
    tr.id = row.place;
    tr.dataset.at = row.at;
    tr.className = "fresh";
    const what = made("th");
    what.scope = "row";
    const link = made("a", row.name || row.type);
    link.href = "/events/" + encodeURIComponent(row.id);
    what.append(link, made("small", row.type));
    const decision = made("div", undefined, "decision");
    if (row.refused) decision.append(made("span", "refused", "state bad"), " ", made("small", row.refused));
    for (const name of row.to) decision.append(made("span", name, "state good"));
    for (const [name, why] of Object.entries(row.no)) decision.append(made("span", `${name}: ${why}`, "state off"));
    const decided = made("td");
    decided.append(decision);
    tr.append(made("td", new Date(row.at).toISOString().slice(11, 19), "mono"), what, made("td", row.who, "mono cut"), made("td", row.source), decided);
    return tr;
  }

  function say(tone, text) {
    state.className = "state " + tone;
    state.textContent = text;
  }

  // What came while nobody listened: the page again, under what came since it was made.
  function catchUp() {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.open("GET", location.href);
    request.onload = () => {
      const rows = [...(request.response?.querySelectorAll("#live tbody tr") ?? [])];
      const last = Number(rows[0]?.dataset.at ?? 0);
      const known = new Set(rows.map((row) => row.id));
      const newer = [...body.rows].filter((row) => !known.has(row.id) && Number(row.dataset.at) >= last);
      if (rows.length) body.replaceChildren(...newer, ...rows.map((row) => document.adoptNode(row)));
    };
    request.send();
  }

  function open() {
    source = new EventSource(table.dataset.stream);
    source.onopen = () => {
      say("good", "live");
      catchUp();
    };
    source.onerror = () => say("warn", "away, trying again");
    source.onmessage = (message) => {
      const news = JSON.parse(message.data);
      document.getElementById("live-empty")?.remove();
      for (const row of news.rows) {
        if (!document.getElementById(row.place)) body.prepend(line(row));
      }
      while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
      left += news.more;
      say("good", left ? `live, and ${left.toLocaleString("en")} more` : "live");
    };
  }

  function close(text) {
    source?.close();
    source = null;
    say("off", text);
  }

  pause.hidden = false;
  document.getElementById("live-reload").hidden = true;
  pause.onclick = () => {
    if (source) close("paused");
    else open();
    pause.textContent = source ? "Pause" : "Go on";
  };
  addEventListener("pagehide", () => source?.close());
  open();
})();

// A box that chooses all others of its list.
for (const all of document.querySelectorAll("[data-all]")) {
  all.closest("[hidden]")?.removeAttribute("hidden");
  all.addEventListener("change", () => {
    for (const box of document.getElementsByName(all.dataset.all)) box.checked = all.checked;
  });
}
