// Makes pages more comfortable; all of them work without. Copies a value with one click, and hands over what a browser keeps after `#`.
"use strict";
for (const value of document.querySelectorAll(".copied")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-small";
    button.textContent = value.dataset.copy;
    button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(value.textContent);
        button.textContent = value.dataset.copied;
    });
    value.after(button);
}
const fragment = document.querySelector("form[data-fragment]");
if (fragment && location.hash.length > 1) {
    fragment.querySelector("textarea, input[type=text]").value = location.href;
    history.replaceState(null, "", location.pathname + location.search);
    fragment.querySelector("button").click();
}
