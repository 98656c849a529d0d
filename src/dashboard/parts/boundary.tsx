/** A view that fails takes nothing with it but itself. */
import { Component, type ComponentChildren } from "preact";
import { Notice } from "./notice.tsx";

export interface BoundaryProps {
  readonly children: ComponentChildren;
}

interface Failure {
  readonly problem: string | undefined;
}

export class Boundary extends Component<BoundaryProps, Failure> {
  static override getDerivedStateFromError(error: unknown): Failure {
    return { problem: error instanceof Error ? error.message : String(error) };
  }

  override componentDidCatch(error: unknown): void {
    console.error(error);
  }

  override render({ children }: BoundaryProps, { problem }: Failure) {
    if (problem === undefined) return children;
    return (
      <>
        <Notice kind="bad">This view has failed: {problem}</Notice>
        <div class="actions start">
          <button type="button" onClick={() => this.setState({ problem: undefined })}>Show it again</button>
        </div>
      </>
    );
  }
}
