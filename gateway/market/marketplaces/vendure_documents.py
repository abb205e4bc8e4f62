"""What is asked of Vendure's Admin API, word for word. Pure.

Everything that comes from an order goes as a variable. The ids that stand in a document are the shop's own, quoted.
"""

import json
from collections.abc import Sequence

# 8 levels deep in a list of orders: as deep as a document of ours may be
_ORDER = (
    "fragment O on Order{id state createdAt customFields{externalId externalRevision}"
    " lines{id quantity unitPrice unitPriceWithTax productVariant{id}}"
    " customer{id} shippingAddress{fullName phoneNumber streetLine1} shippingLines{id}}"
)
_VARIANT = (
    "fragment V on ProductVariant{id sku enabled price priceWithTax trackInventory outOfStockThreshold"
    " useGlobalOutOfStockThreshold stockLevels{stockOnHand stockAllocated} product{enabled}%s}"
)
_UNITS = " customFields{unit piecesPerUnit}"
_REFUSED = "__typename ...on ErrorResult{errorCode message}"
_SHOP = "activeChannel{currencyCode pricesIncludeTax} globalSettings{trackInventory outOfStockThreshold}"

SIGN_IN = f"mutation($user:String!,$password:String!){{login(username:$user,password:$password){{{_REFUSED}}}}}"
CREATE = "mutation{createDraftOrder{id}}"
NAME = f"mutation($input:UpdateOrderInput!){{setOrderCustomFields(input:$input){{...O}}}}{_ORDER}"
MOVE = (
    f"mutation($id:ID!,$state:String!){{moved:transitionOrderToState(id:$id,state:$state){{{_REFUSED} ...O}}}}{_ORDER}"
)
PAY = f"mutation($input:ManualPaymentInput!){{paid:addManualPaymentToOrder(input:$input){{{_REFUSED} ...O}}}}{_ORDER}"
REMOVE = "mutation($id:ID!){deleteDraftOrder(orderId:$id){result}}"
CANCEL = f"mutation($input:CancelOrderInput!){{cancelled:cancelOrder(input:$input){{{_REFUSED} ...O}}}}{_ORDER}"
ABANDON = (  # an order that is no draft any more cannot be deleted: it gives its name back, then it is cancelled
    "mutation($input:UpdateOrderInput!,$cancel:CancelOrderInput!){setOrderCustomFields(input:$input){id}"
    f" cancelled:cancelOrder(input:$cancel){{{_REFUSED}}}}}"
)
FIND = f"query($ids:[String!]){{orders(options:{{filter:{{externalId:{{in:$ids}}}}}}){{items{{...O}}}}}}{_ORDER}"
DRAFTS = (
    "{activeAdministrator{id} orders(options:{take:100,sort:{createdAt:DESC},"
    'filter:{state:{eq:"Draft"},externalId:{isNull:true}}}){items{id createdAt}}'
    " named:orders(options:{take:1,sort:{createdAt:DESC},filter:{externalId:{isNull:false}}}){items{id}}}"
)
MADE_BY = (
    "query($id:ID!){order(id:$id){state lines{id} customer{id} customFields{externalId}"
    " history(options:{take:1,sort:{createdAt:ASC}}){items{administrator{id}}}}}"
)
UPDATES = (
    "query($after:DateTime!,$skip:Int!,$take:Int!){orders(options:{take:$take,skip:$skip,sort:{updatedAt:ASC,id:ASC},"
    'filter:{externalId:{isNull:false},state:{in:["Delivered","Cancelled"]},updatedAt:{after:$after}}})'
    "{totalItems items{id updatedAt state customFields{externalId externalRevision}}}}"
)


def look_up(*, has_units: bool) -> str:
    """Return the query for what a few orders need to know: whether they are there, their articles, their customers."""
    return (
        "query($ids:[String!],$skus:[String!],$emails:[String!],$take:Int!){"
        f"{_SHOP} shippingMethods{{items{{id code}}}}"
        " orders(options:{filter:{externalId:{in:$ids}}}){items{...O}}"
        " productVariants(options:{take:$take,filter:{sku:{in:$skus}}}){items{...V}}"
        " customers(options:{filter:{emailAddress:{in:$emails}}}){items{id emailAddress}}}"
        f"{_ORDER}{_variant(has_units)}"
    )


def articles(*, has_units: bool) -> str:
    """Return the query for a page of what the shop sells."""
    return (
        "query($skip:Int!,$take:Int!){"
        f"{_SHOP} productVariants(options:{{take:$take,skip:$skip,sort:{{id:ASC}}}}){{totalItems items{{...V name"
        " taxRateApplied{name value} featuredAsset{preview} product{featuredAsset{preview} collections{name}}}}}"
        f"{_variant(has_units)}"
    )


def fill(
    order_id: str,
    *,
    added: Sequence[tuple[str, int]],
    adjusted: Sequence[tuple[str, int]],
    customer_id: str,
    has_customer: bool,
    shipping_method: str,
) -> str:
    """Return the mutations that make a draft what was ordered; they run one after another (GraphQL §6.2.2)."""
    order = json.dumps(order_id)
    parts = [
        *_each("l", "adjustDraftOrderLine", order, "orderLineId", adjusted),
        *_each("a", "addItemToDraftOrder", order, "productVariantId", added),
    ]
    if not has_customer:
        who = f"customerId:{json.dumps(customer_id)}" if customer_id else "input:$customer"
        parts.append(f"who:setCustomerForDraftOrder(orderId:{order},{who}){{{_REFUSED}}}")
    parts.append(f"where:setDraftOrderShippingAddress(orderId:{order},input:$address){{id}}")
    method = json.dumps(shipping_method)
    parts.append(f"how:setDraftOrderShippingMethod(orderId:{order},shippingMethodId:{method}){{{_REFUSED} ...O}}")
    declared = "" if has_customer or customer_id else ",$customer:CreateCustomerInput"
    return f"mutation($address:CreateAddressInput!{declared}){{{' '.join(parts)}}}{_ORDER}"


def _each(prefix: str, mutation: str, order: str, name: str, pieces: Sequence[tuple[str, int]]) -> list[str]:
    return [
        f"{prefix}{number}:{mutation}(orderId:{order},input:{{{name}:{json.dumps(which)},quantity:{count}}})"
        f"{{{_REFUSED}}}"
        for number, (which, count) in enumerate(pieces)
    ]


def _variant(has_units: bool) -> str:
    return _VARIANT % (_UNITS if has_units else "")
