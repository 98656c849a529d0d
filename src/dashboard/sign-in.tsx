/** Asks for the token, where the server wants one. */
import { fieldsOf } from "./parts/field.tsx";
import { Notice } from "./parts/notice.tsx";
import { refusal, setToken } from "./session.ts";

export function SignIn() {
  return (
    <form
      class="card sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        const token = fieldsOf(event.currentTarget)["token"] ?? "";
        if (token !== "") setToken(token);
      }}
    >
      <h3>Sign in</h3>
      <Notice kind="info">{refusal.value}</Notice>
      <label class="field">
        <span>Token</span>
        <input name="token" type="password" autocomplete="off" required />
      </label>
      <p class="hint">
        It is kept until this tab is closed. What it may do is what the dashboard can do: it needs the scope
        read, and admin for control, dead letters and configuration.
      </p>
      <div class="actions">
        <button type="submit" class="primary">Sign in</button>
      </div>
    </form>
  );
}
