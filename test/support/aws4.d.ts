/** aws4 has no types of its own; this is what the tests use of it. */
declare module 'aws4' {
  export interface SignedRequest {
    path?: string;
    headers?: Record<string, string>;
  }
  const aws4: {
    sign(
      request: {
        host: string;
        path: string;
        service: string;
        region: string;
        method?: string;
        signQuery?: boolean;
      },
      credentials: { accessKeyId: string; secretAccessKey: string },
    ): SignedRequest;
  };
  export default aws4;
}
