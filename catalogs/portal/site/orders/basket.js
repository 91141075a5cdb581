// What is to be ordered, kept by this browser until it is.

const KEY = "qyran.basket";

export class Basket {
  constructor() {
    this.changed = () => {};
    this.items = read();
    // Another window of the same browser changed it.
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.items = read();
      this.changed();
    });
  }

  has(key) {
    return this.items.some((one) => one.key === key);
  }

  add(item) {
    if (!this.has(item.key)) this.keep([...this.items, item]);
  }

  remove(key) {
    this.keep(this.items.filter((one) => one.key !== key));
  }

  clear() {
    this.keep([]);
  }

  keep(items) {
    this.items = items;
    try {
      localStorage.setItem(KEY, JSON.stringify(items));
    } catch {
      // Then it lasts as long as the page.
    }
    this.changed();
  }
}

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one?.key === "string") : [];
  } catch {
    return [];
  }
}
