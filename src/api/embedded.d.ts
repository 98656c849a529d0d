/** Files that the build has compressed: the import gives their path inside the executable. */
declare module "*.br" {
  const path: string;
  export default path;
}
declare module "*.gz" {
  const path: string;
  export default path;
}
