/** A table that can be scrolled sideways on a narrow screen, whose rows can be chosen by keys, too. */
import type { ComponentChildren } from "preact";

export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => ComponentChildren;
  readonly isNumber?: boolean;
  /** Long text, cut at the end of the line. */
  readonly isWide?: boolean;
}

export interface TableProps<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly onChoose?: (row: T) => void;
  /** Key of the chosen row. */
  readonly chosen?: string | undefined;
  readonly empty: string;
}

export function Table<T>({ label, columns, rows, keyOf, onChoose, chosen, empty }: TableProps<T>) {
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  const classOf = ({ isNumber, isWide }: Column<T>) =>
    isNumber === true ? "number" : isWide === true ? "wide" : "";
  return (
    <div class="table" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th scope="col" key={column.title} class={classOf(column)}>{column.title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const key = keyOf(row);
            const choose = onChoose && (() => onChoose(row));
            return (
              <tr
                key={key}
                class={choose === undefined ? "" : "choosable"}
                aria-selected={chosen === key ? "true" : undefined}
                {...(choose === undefined ? {} : {
                  tabIndex: 0,
                  onClick: choose,
                  onKeyDown: (event: KeyboardEvent) => {
                    if (event.key === "Enter" && event.target === event.currentTarget) choose();
                  },
                })}
              >
                {columns.map((column) => (
                  <td key={column.title} class={classOf(column)}>{column.cell(row)}</td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
