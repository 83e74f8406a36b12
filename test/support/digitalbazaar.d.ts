/** What the tests use of packages that bring no types of their own. */
declare module '@digitalbazaar/vc' {
  export function verifyCredential(options: {
    readonly credential: unknown
    readonly suite: unknown
    readonly documentLoader: (url: string) => Promise<unknown>
  }): Promise<{ readonly verified: boolean; readonly error?: unknown }>
  export function defaultDocumentLoader(url: string): Promise<unknown>
}

declare module '@digitalbazaar/data-integrity' {
  export const DataIntegrityProof: new (options: { readonly cryptosuite: unknown }) => object
}

declare module '@digitalbazaar/eddsa-jcs-2022-cryptosuite' {
  export function createVerifyCryptosuite(): unknown
}
