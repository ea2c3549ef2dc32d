// Playwright's click and key press return before the next page is there, so the test's next action would race with it.

/** Does what leads to another page, and waits until that page is loaded. */
export async function leads(page, action) {
    await Promise.all([page.waitForEvent("load"), action()]);
}

/** Presses the button (or link) of this name, which leads to another page. */
export function press(page, name, role = "button") {
    return leads(page, () => page.getByRole(role, { name }).click());
}
