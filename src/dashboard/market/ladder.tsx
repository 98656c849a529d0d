/** The order book's best levels, asks above bids, each with its share of what rests there. */
import { format } from "../format.ts";
import type { Book, Level } from "./market-data.ts";

export function Ladder({ book }: { readonly book: Book }) {
  const most = Math.max(...[...book.bids, ...book.asks].map(([, quantity]) => Number(quantity)), 1e-12);
  const row = (side: "bid" | "ask") => ([price, quantity]: Level) => (
    <tr key={price} class={side}>
      <td class="number">{price}</td>
      <td class="number">
        <i style={{ width: `${(Number(quantity) / most) * 100}%` }} />
        <span>{quantity}</span>
      </td>
    </tr>
  );
  return (
    <section class="card ladder" aria-label="Order book">
      <header>
        <h3>Order book</h3>
        <span class={`pill ${book.state}`}>{book.state}</span>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">Price</th>
            <th scope="col" class="number">Quantity</th>
          </tr>
        </thead>
        <tbody>{[...book.asks].reverse().map(row("ask"))}</tbody>
        <tbody>
          <tr class="middle">
            <td class="number">
              <b>{book.mid ?? "–"}</b>
            </td>
            <td class="number">
              spread {book.spread ?? "–"}
              {book.spread_bps === undefined ? "" : ` (${book.spread_bps.toFixed(2)} bp)`}
            </td>
          </tr>
        </tbody>
        <tbody>{book.bids.map(row("bid"))}</tbody>
      </table>
      <dl>
        <dt>Microprice</dt>
        <dd>{book.microprice ?? "–"}</dd>
        <dt>Imbalance of 10 levels</dt>
        <dd>{book.imbalance_10?.toFixed(3) ?? "–"}</dd>
        <dt>Grade</dt>
        <dd>{book.grade ?? "–"}</dd>
        <dt>Updates, gaps</dt>
        <dd>{format(book.updates, "count")}, {format(book.gaps, "count")}</dd>
      </dl>
    </section>
  );
}
