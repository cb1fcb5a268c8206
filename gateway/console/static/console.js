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
