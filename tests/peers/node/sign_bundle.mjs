// Signs a manifest as cosign 3 does, by Sigstore's own libraries: an in-toto statement in a Sigstore bundle, which refers to the manifest.
//
//     node sign_bundle.mjs REGISTRY/NAME sha256:DIGEST KEY.pem PREDICATE-TYPE
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const installed = fileURLToPath(new URL('../.installed/node/', import.meta.url));
const require = createRequire(installed);
const { bundleToJSON } = require('@sigstore/bundle');
const { DSSEBundleBuilder } = require('@sigstore/sign');
const { attachArtifactToImage } = require('@sigstore/oci');

const [imageName, imageDigest, keyFile, predicateType] = process.argv.slice(2);
const key = createPrivateKey(readFileSync(keyFile));
const signer = {
  sign: async (data) => ({
    signature: sign('sha256', data, key),
    key: { $case: 'publicKey', publicKey: '', hint: 'test' },
  }),
};
const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: imageDigest.replace('sha256:', '') } }],
  predicateType,
  predicate: {},
};
const data = Buffer.from(JSON.stringify(statement));
const bundle = await new DSSEBundleBuilder({ signer, witnesses: [] }).create({ data, type: 'application/vnd.in-toto+json' });
await attachArtifactToImage({
  imageName,
  imageDigest,
  artifact: Buffer.from(JSON.stringify(bundleToJSON(bundle))),
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
});
