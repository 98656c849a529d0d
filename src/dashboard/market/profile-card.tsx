/** The day's volume by price: where it was traded most, and where most of it was traded. */
import type { Profile } from "./market-data.ts";

const SHOWN = 16;

export function ProfileCard({ profile }: { readonly profile: Profile | undefined }) {
  if (profile === undefined) {
    return (
      <section class="card">
        <h3>Volume by price</h3>
        <p class="empty">Not told yet.</p>
      </section>
    );
  }
  const rows = profile.top.slice(0, SHOWN).toSorted(([a], [b]) => Number(b) - Number(a));
  const most = Math.max(...rows.map(([, volume]) => Number(volume)), 1e-12);
  const share = (part: string) => `${(Number(part) / most) * 100}%`;
  const inArea = (row: string) => Number(row) >= Number(profile.val) && Number(row) <= Number(profile.vah);
  return (
    <section class="card profile" aria-label="Volume by price">
      <header>
        <h3>Volume by price</h3>
        <span>{profile.volume} today, rows of {profile.row}</span>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">Price</th>
            <th scope="col">Bought and sold</th>
            <th scope="col" class="number">Volume</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([row, volume, bought, sold]) => (
            <tr key={row} class={inArea(row) ? "area" : ""}>
              <td class="number">{row === profile.poc ? <b>{row}</b> : row}</td>
              <td class="bars">
                <i class="bought" style={{ width: share(bought) }} />
                <i class="sold" style={{ width: share(sold) }} />
              </td>
              <td class="number">{volume}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="hint">Point of control {profile.poc}, value area {profile.val} to {profile.vah}</p>
    </section>
  );
}
