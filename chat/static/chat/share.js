// The owner's pages of share links: copies an address, and says when the preview is older than the choices.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = button.dataset.done;
    } catch {
      // Without leave to write to the clipboard the address stays selected for Ctrl C.
    }
  });
}

const form = document.querySelector("form[data-preview]");
// A second click while the first is under way would make a second link, whose address nobody gets to see.
form?.addEventListener("submit", event => {
  if (form.hasAttribute("data-sent")) event.preventDefault();
  form.toggleAttribute("data-sent", true);
});
addEventListener("pageshow", () => form?.removeAttribute("data-sent"));
form?.addEventListener("change", event => {
  if (event.target.closest("[data-changes-preview]")) form.toggleAttribute("data-stale", true);
});
