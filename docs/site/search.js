// SPDX-License-Identifier: MIT
// Looks for words in the sections of all pages. The list of sections is loaded when the field is used for the first time; it is a
// script and no request, so that it works from a disk too. Words are found as parts of words, which needs no division of Chinese.
"use strict";
(function () {
    const body = document.body;
    const field = document.getElementById("page-words");
    const list = document.getElementById("page-found");
    const SHOWN_MAX = 30;
    const EXCERPT = 60; // characters on each side of what was found

    function load() {
        if (document.getElementById("page-sections"))
            return;
        const script = document.createElement("script");
        script.id = "page-sections";
        script.src = body.dataset.root + "search_" + body.dataset.language + ".js";
        script.onload = show;
        document.head.append(script);
    }

    // A name found whole counts most, then a title, then the text.
    function score(section, words) {
        const title = section[1].toLowerCase();
        const page = section[2].toLowerCase();
        const text = section[3].toLowerCase();
        let sum = 0;
        for (const word of words) {
            if (title === word)
                sum += 100;
            else if (title.includes(word))
                sum += 20 - Math.min(10, title.length / 10);
            else if (page.includes(word) && text.includes(word))
                sum += 6;
            else if (text.includes(word))
                sum += 3;
            else
                return 0;
        }
        return sum;
    }

    function excerpt(text, word) {
        const at = Math.max(0, text.toLowerCase().indexOf(word));
        const start = Math.max(0, at - EXCERPT);
        return (start ? "… " : "") + text.slice(start, at + word.length + EXCERPT) + " …";
    }

    function item(section, words) {
        const link = document.createElement("a");
        link.href = body.dataset.root + section[0];
        const title = document.createElement("b");
        title.textContent = section[1] === section[2] ? section[1] : section[1] + " – " + section[2];
        const text = document.createElement("span");
        text.textContent = excerpt(section[3], words[0]);
        link.append(title, text);
        const line = document.createElement("li");
        line.append(link);
        return line;
    }

    function show() {
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        list.hidden = words.length === 0 || !window.sections;
        if (list.hidden)
            return;
        const found = window.sections.map(section => [score(section, words), section]).filter(pair => pair[0] > 0);
        found.sort((one, other) => other[0] - one[0]);
        list.replaceChildren(...found.slice(0, SHOWN_MAX).map(pair => item(pair[1], words)));
        if (found.length === 0) {
            const line = document.createElement("li");
            line.textContent = body.dataset.none;
            list.append(line);
        }
    }

    field.addEventListener("focus", load);
    field.addEventListener("input", () => { load(); show(); });
    field.form.addEventListener("submit", event => {
        event.preventDefault();
        const first = list.querySelector("a");
        if (first)
            first.click();
    });
    document.addEventListener("keydown", event => {
        if (event.key === "/" && document.activeElement !== field) {
            event.preventDefault();
            field.focus();
        } else if (event.key === "Escape") {
            list.hidden = true;
        }
    });
    document.addEventListener("click", event => {
        if (!field.form.contains(event.target) || event.target.closest("#page-found a"))
            list.hidden = true;
    });
})();
