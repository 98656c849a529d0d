/** A configuration that is part of the executable, as text. */
declare module "*.yaml" {
  const text: string;
  export default text;
}
