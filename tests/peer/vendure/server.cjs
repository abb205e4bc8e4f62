/* The shop as docs/marketplaces/vendure.md sets it up, with its data in memory. Once it is up it prints where. */
"use strict";

const { createHash } = require("node:crypto");
const { DefaultLogger, JobQueueService, LanguageCode, LogLevel, bootstrap, dummyPaymentHandler } = require("@vendure/core");

// a real shop's bcrypt takes 250 ms each time; the tests sign in a hundred times
const quick = {
  hash: async (secret) => createHash("sha256").update(secret).digest("hex"),
  check: async (secret, hash) => createHash("sha256").update(secret).digest("hex") === hash,
};

const label = (value) => [{ languageCode: LanguageCode.en, value }];

const config = {
  apiOptions: { hostname: "127.0.0.1", port: 0, adminApiPath: "admin-api", shopApiPath: "shop-api" },
  authOptions: {
    tokenMethod: ["bearer", "api-key"],
    superadminCredentials: { identifier: "superadmin", password: process.env.SHOP_PASSWORD },
    passwordHashingStrategy: quick,
    requireVerification: false,
  },
  dbConnectionOptions: { type: "sqljs", synchronize: true, logging: false },
  logger: new DefaultLogger({ level: LogLevel.Error }),
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
  customFields: {
    Order: [
      { name: "externalId", type: "string", unique: true, nullable: true, readonly: false, label: label("Order id") },
      { name: "externalRevision", type: "int", nullable: true, label: label("Revision") },
      { name: "externalReceipt", type: "string", nullable: true, label: label("Receipt") },
      { name: "externalNote", type: "text", nullable: true, label: label("Note") },
    ],
    ProductVariant: [
      { name: "unit", type: "string", nullable: true, label: label("Unit") },
      { name: "piecesPerUnit", type: "int", nullable: true, label: label("Pieces in a unit") },
    ],
  },
};

bootstrap(config).then(async (app) => {
  await app.get(JobQueueService).start();
  process.stdout.write(`${JSON.stringify({ port: app.getHttpServer().address().port })}\n`);
  process.stdin.on("end", () => process.exit(0)).resume(); // it goes when the test goes
}).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
